"""From an observation to a plan: the chain of pure functions that decides what a ModelService needs, in one place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modelservice_operator.api.kinds import DEPLOYMENT
from modelservice_operator.api.names import PREFLIGHT
from modelservice_operator.api.reasons import Reason
from modelservice_operator.api.v1alpha1 import ModelService, RuntimeProfile
from modelservice_operator.api.v1alpha1.scaling import Autoscaling
from modelservice_operator.controller.keys import Key
from modelservice_operator.controller.observe import ChildId, Observation
from modelservice_operator.domain import (
    AWAKE,
    OPEN,
    UNKNOWN,
    ApplyResults,
    Calls,
    Facts,
    Gate,
    Observed,
    ObservedState,
    Plan,
    Recorded,
    Rest,
    SpecError,
    Stillness,
    Turn,
    desired,
    is_unasked,
    judge_rest,
    judge_source,
    keep_template,
    keeps_revisions,
    kept_accounts,
    kept_children,
    look_at,
    looks_for_room,
    plan,
    promotion_looks_in,
    settle_revisions,
)
from modelservice_operator.engine.packing import pack, unpack
from modelservice_operator.render import Renderer, TemplateError, stamp

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, or why nothing can be decided; exactly one of the two is set.

    `gate` is what a preflight says. In `looks_in` seconds something else may have to be done, though nothing happens.
    """

    plan: Plan | None
    error: SpecError | None
    gate: Gate = OPEN
    looks_in: float | None = None


@dataclass(frozen=True, slots=True)
class _Cause:
    """All that the manifests of a ModelService depend on.

    Schedules change `autoscaling`, and people `asked_again`, an annotation, while the spec stays.
    """

    uid: str
    generation: int
    asked_again: str
    autoscaling: Autoscaling | None
    profile: RuntimeProfile | None
    facts: Facts
    gate: Gate
    rest: Rest


class Manifests:
    """Renders the children of ModelServices, again only when what they depend on has changed.

    Most reconciles look at an event of a pod or a Deployment and ask for the same manifests as before. Rendering is the
    most expensive part of such a look.
    """

    def __init__(self) -> None:
        self._renderer = Renderer()
        self._known: dict[Key, tuple[_Cause, bytes]] = {}

    def of(
        self,
        key: Key,
        service: ModelService,
        profile: RuntimeProfile | None,
        facts: Facts,
        gate: Gate = OPEN,
        rest: Rest = AWAKE,
    ) -> Sequence[Manifest]:
        """Return the manifests that the spec asks for. Raises SpecError and TemplateError."""
        metadata = service.metadata
        known_facts = replace(facts, activator=None)  # where it leads, if it leads there at all, is in `rest`
        again = metadata.annotations.get(PREFLIGHT, "")
        scaling = service.spec.autoscaling
        cause = _Cause(metadata.uid, metadata.generation, again, scaling, profile, known_facts, gate, rest)
        known = self._known.get(key)
        if known is not None and known[0] == cause:
            return tuple(unpack(known[1]))
        children = desired(service, profile, facts, gate, rest)
        manifests = tuple(self._renderer.render(child.template, child.values) for child in children)
        self._known[key] = cause, pack(manifests)
        return manifests

    def forget(self, key: Key) -> None:
        """The ModelService is gone."""
        self._known.pop(key, None)


def decide(
    seen: Observation,
    facts: Facts,
    manifests: Manifests,
    recorded: Mapping[ChildId, Recorded],
    still: Stillness = UNKNOWN,
    calls: tuple[Calls, Calls] | None = None,
    has_turn: Turn = lambda: False,
) -> Decision:
    """Compare what the spec asks for with what was seen.

    `calls` are the requests of the revision that served and of its canary, where a step of that is over. `has_turn`
    tells whether one more service of the profile may replace its pods in a wave.

    A spec that cannot be carried out decides nothing about the children: what serves goes on serving.
    """
    if seen.service is None or seen.error is not None:
        return Decision(None, seen.error)
    facts = replace(facts, claim=seen.claim)
    try:
        gate = judge_source(seen.service, seen.profile, facts, seen.children, seen.preflights)
        rest, looks_in = judge_rest(seen.service, seen.children, seen.pods, still, facts.activator, seen.seen_at)
        rendered = manifests.of(seen.key, seen.service, seen.profile, facts, gate, rest)
        wanted, waits_for = _settled(seen, rendered, calls, has_turn)
    except SpecError as error:
        return Decision(None, error)
    except TemplateError as error:
        return Decision(None, SpecError(Reason.TEMPLATE_ERROR, "spec", str(error)))
    kept = kept_children(seen.service, gate, seen.children) | kept_accounts(wanted, seen.children)
    observed = Observed(owner_uid=seen.record.uid, children=seen.children, recorded=recorded, kept=kept)
    looks = (looks_in, waits_for, promotion_looks_in(seen.service, wanted, seen.seen_at))
    return Decision(plan(wanted, observed), None, gate, min((each for each in looks if each is not None), default=None))


def _settled(
    seen: Observation, wanted: Sequence[Manifest], calls: tuple[Calls, Calls] | None, has_turn: Turn
) -> tuple[Sequence[Manifest], float | None]:
    """The manifests with the pods that should run now: those of the spec, of the last that served, or of both.

    And in how many seconds a template that waits may be taken.
    """
    service, unasked = seen.service, is_unasked(wanted, seen.children)
    if service is None or not (unasked or keeps_revisions(service) or looks_for_room(service, seen.profile)):
        return wanted, None
    state = ObservedState(seen.children, seen.pods, seen_at=seen.seen_at, calls=calls)
    world = look_at(service, seen.profile, state, ApplyResults())
    known, after = set(map(id, wanted)), None
    chosen: list[Mapping[str, Any]] = list(wanted)
    for position, manifest in enumerate(wanted if unasked else ()):
        if manifest["kind"] == DEPLOYMENT.kind:
            chosen[position], after = keep_template(manifest, world, has_turn)
    settled = settle_revisions(chosen, world)
    return [dict(manifest) if id(manifest) in known else stamp(manifest) for manifest in settled], after
