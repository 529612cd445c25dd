"""The promotion of a canary: from step to step by itself, as long as it does well.

How far it is stands in an annotation of the canary's Deployment, written together with the replicas of the step: an
operator that is restarted goes on where the last one was. The time of a step runs while every replica of the canary
answers, which with a golden request means that it was answered as expected, and none of its servers has had to be
started again. When the time is over and the canary fails more of its requests than the revision that served, where that
is known, it keeps its share for another such time. After the last step the new revision is rolled out. From then on its
pods are in the first Deployment, which is how a later look knows of it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from ..api.kinds import DEPLOYMENT
from ..api.names import CANARY, CANARY_STAGE, SERVER_CONTAINER, track_name
from ..api.v1alpha1 import ModelService
from ..api.v1alpha1.scaling import Canary, CanaryStep
from .plan import ChildKey
from .pods import container_status, revision_of
from .tree import Tree, branch, moment, number, text
from .world import Calls, World

Manifest = Mapping[str, Any]

TOLERATED: Final = 0.01
"""Share of failed requests up to which a canary is not worse, whatever the other revision does."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The step of a revision, counted from 0, since when it has its share (empty while not), and why it is held."""

    revision: str
    step: int = 0
    since: str = ""
    held: str = ""

    def mark(self) -> str:
        """As the annotation says it."""
        return json.dumps({key: value for key, value in asdict(self).items() if value}, separators=(",", ":"))


def steps_of(service: ModelService) -> Sequence[CanaryStep]:
    """The steps; none where somebody sets the weights."""
    rollout = service.spec.rollout
    return rollout.canary.steps if rollout.strategy == "Canary" and rollout.canary else ()


def stage_of(canary: Tree) -> Stage | None:
    """The stage that a canary's Deployment is at; None when it says nothing that can be read."""
    try:
        said = json.loads(text(canary, "metadata", "annotations", CANARY_STAGE) or "{}")
    except ValueError:
        return None
    step = number(said, "step")
    if not text(said, "revision") or step < 0:
        return None
    return Stage(text(said, "revision"), step, text(said, "since"), text(said, "held"))


def weight_of(service: ModelService, stage: Stage | None = None) -> int:
    """Share of the new revision in percent, at a stage where there are steps; 100 without a canary, and at its end."""
    rollout, steps = service.spec.rollout, steps_of(service)
    if rollout.strategy != "Canary":
        return 100
    if not steps:
        return (rollout.canary or Canary()).weight
    step = stage.step if stage else 0
    return steps[step].weight if step < len(steps) else 100


def next_stage(world: World, revision: str) -> Stage | None:
    """The stage at which the canary of a revision should be now; None where there are no steps."""
    steps = steps_of(world.service)
    if not steps:
        return None
    if revision_of(branch(world.deployment, "spec", "template")) == revision:
        return Stage(revision, len(steps))
    stage, now = stage_of(world.canary), world.state.seen_at
    if stage is None or stage.revision != revision:
        return Stage(revision)
    if now is None or stage.step >= len(steps):
        return stage
    return _judged(stage, steps, world, now)


def _judged(stage: Stage, steps: Sequence[CanaryStep], world: World, now: datetime) -> Stage:
    """The stage that follows from what the canary does."""
    trouble = _restarts(world)
    if trouble or not world.canary_serving:
        return replace(stage, since="", held=trouble)
    if not stage.since:
        return replace(stage, since=_stamp(now), held="")
    if _seconds_left(stage, steps, now) > 0:
        return stage
    worse = _worse(world.state.calls)
    return replace(stage, since=_stamp(now), held=worse) if worse else Stage(stage.revision, stage.step + 1)


def is_step_over(service: ModelService, children: Mapping[ChildKey, Tree], now: datetime) -> bool:
    """Whether a canary has had its time at a step, so that its requests are worth a look."""
    steps = steps_of(service)
    stage = (
        stage_of(children.get((DEPLOYMENT.kind, track_name(service.metadata.name, CANARY))) or {}) if steps else None
    )
    return stage is not None and bool(stage.since) and _seconds_left(stage, steps, now) <= 0


def promotion_looks_in(service: ModelService, wanted: Sequence[Manifest], now: datetime) -> float | None:
    """In how many seconds a step of the wanted canary is over; None when nothing runs out."""
    steps, name = steps_of(service), track_name(service.metadata.name, CANARY)
    for manifest in wanted if steps else ():
        stage = stage_of(manifest) if manifest["metadata"]["name"] == name else None
        if stage is not None and stage.since:
            return max(0.0, _seconds_left(stage, steps, now))
    return None


def describe_stage(service: ModelService, canary: Tree) -> str:
    """What happens next to a canary, and what keeps it from happening."""
    steps, stage = steps_of(service), stage_of(canary)
    if not steps:
        return "spec.rollout.canary.weight 100 rolls it out"
    if stage is None or stage.step >= len(steps):
        return "it is rolled out next"
    where = f"step {stage.step + 1} of {len(steps)}, which lasts {steps[stage.step].pause_seconds} s"
    return f"{where}; it is held: {stage.held}" if stage.held else where


def _seconds_left(stage: Stage, steps: Sequence[CanaryStep], now: datetime) -> float:
    """How long a step lasts yet; a time that cannot be read begins anew elsewhere, so it has run out."""
    since = moment({"since": stage.since}, "since")
    if since is None or stage.step >= len(steps):
        return 0.0
    return steps[stage.step].pause_seconds - (now - since).total_seconds()


def _restarts(world: World) -> str:
    counts = {
        text(pod, "metadata", "name"): number(container_status(pod, SERVER_CONTAINER), "restartCount")
        for pod in world.canary_pods.current
    }
    name, count = max(counts.items(), key=lambda entry: entry[1], default=("", 0))
    if not count:
        return ""
    return f"the server of pod {name} had to be started again; when that is in order, delete the pod"


def _worse(calls: tuple[Calls, Calls] | None) -> str:
    """Why the canary's requests go worse than the others; empty when they do not, or nobody knows."""
    if calls is None:
        return ""
    served, tried = calls
    if tried.failed_share <= max(TOLERATED, served.failed_share):
        return ""
    shares = [f"{calls.failed_share:.1%} of {calls.ended:.0f}" for calls in (tried, served)]
    return f"its servers failed {shares[0]} requests, those of the revision before {shares[1]}"


def _stamp(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
