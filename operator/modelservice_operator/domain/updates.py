"""A pod template that nobody asked for: what a changed RuntimeProfile, or a newer operator, makes of an unchanged spec.

Pods that serve are not replaced for it until `spec.updates` of the profile, or a person, says so. What the spec says
about pods stands as a hash on the Deployment, so a change of it is told apart from a change of everything else, and is
carried out at once. The template that is kept stands there too, as it was found when the newer one came up: drift is
still repaired, and a restarted operator keeps the same. Where no pod has a node yet, or all that have one fail, nothing
is lost by taking the newer template, and it may be the remedy.

A revision that is being tried as a canary, or was taken back, was asked for already.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..api.kinds import DEPLOYMENT
from ..api.names import ASKED, KEPT_TEMPLATE, TAKE_TEMPLATE, WAVE
from ..api.v1alpha1 import RuntimeProfile
from ..api.v1alpha1.updates import Updates
from .compare import differences
from .notes import annotated, as_note, read_note
from .plan import ChildKey
from .pods import is_placed, is_ready, revision_of
from .revisions import taken_back, without_empty
from .schedules import look_at_times
from .tree import Tree, branch, number, text
from .world import World

Manifest = Mapping[str, Any]
Turn = Callable[[], bool]
"""Whether one more service of the profile may replace its pods now."""

WAVE_LOOKS_SECONDS: Final = 15.0
"""How long until a service that waits for its turn looks again."""

_NAMED: Final = 3
"""How many of the differing fields a status names."""


@dataclass(frozen=True, slots=True)
class Newer:
    """A newer pod template that is not taken yet: its revision, and the fields in which it differs."""

    revision: str
    fields: tuple[str, ...]

    @property
    def differing(self) -> str:
        """The fields in a few words."""
        more = len(self.fields) - _NAMED
        named = ", ".join(self.fields[:_NAMED])
        return f"{named} and {more} more" if more > 0 else named


def is_unasked(wanted: Iterable[Manifest], children: Mapping[ChildKey, Tree]) -> bool:
    """Whether the Deployment that is there runs another template than the wanted one, though the spec is the same."""
    for manifest in wanted:
        live = children.get((DEPLOYMENT.kind, manifest["metadata"]["name"])) if _is_deployment(manifest) else None
        if live:
            noted = text(live, "metadata", "annotations", ASKED) or _asked_by(manifest)
            kept = text(live, "metadata", "annotations", KEPT_TEMPLATE) or text(live, "metadata", "annotations", WAVE)
            is_other = revision_of(branch(live, "spec", "template")) != revision_of(manifest["spec"]["template"])
            return bool(kept) or (is_other and noted == _asked_by(manifest))
    return False


def keep_template(wanted: Manifest, world: World, has_turn: Turn) -> tuple[Manifest, float | None]:
    """The Deployment, with the template that it has where the wanted one has to wait; and in how many seconds to ask
    again, None when nothing but a change can let it go.

    Raises:
        SpecError: the profile's window cannot be read.
    """
    live, asked = world.deployment, wanted["spec"]["template"]
    if revision_of(branch(live, "spec", "template")) == revision_of(asked):
        wave = text(live, "metadata", "annotations", WAVE)
        return (annotated(wanted, {WAVE: wave}) if wave == revision_of(asked) else wanted), None
    if not _has_to_wait(wanted, world):
        return wanted, None
    policy = _updates_of(world.profile).policy
    if policy == "Wave" and has_turn():
        return annotated(wanted, {WAVE: revision_of(asked)}), None
    is_open, after = _window(world) if policy == "Window" else (policy == "Immediate", None)
    if is_open:
        return wanted, None
    kept = _kept_by(live)
    note = {"newer": revision_of(asked), "fields": sorted(differences(asked, kept)), "template": kept}
    chosen = {**wanted, "spec": {**wanted["spec"], "template": kept}}
    return annotated(chosen, {KEPT_TEMPLATE: as_note(note)}), WAVE_LOOKS_SECONDS if policy == "Wave" else after


def newer_template(deployment: Tree) -> Newer | None:
    """The template that the Deployment has not taken; None when it has the newest."""
    note = read_note(deployment, KEPT_TEMPLATE)
    if not text(note, "newer"):
        return None
    fields = note.get("fields")
    return Newer(text(note, "newer"), tuple(map(str, fields)) if isinstance(fields, list) else ())


def what_lets_it_go(world: World, newer: Newer) -> str:
    """What the newer template waits for, in a sentence."""
    updates, name = _updates_of(world.profile), world.profile.metadata.name if world.profile else ""
    by_hand = (
        f"kubectl annotate modelservice {world.service.metadata.name} -n {world.service.metadata.namespace} "
        f"--overwrite {TAKE_TEMPLATE}={newer.revision}"
    )
    if updates.policy == "Window" and updates.window is not None:
        return f"it is taken from {updates.window.start!r} on (RuntimeProfile {name}), or now by: {by_hand}"
    if updates.policy == "Wave":
        return f"it is taken when other services of RuntimeProfile {name} have got ready with it, or now by: {by_hand}"
    return f"take it by: {by_hand}"


def is_taking(deployment: Tree) -> bool:
    """Whether a Deployment whose turn came has not got ready yet."""
    if text(deployment, "metadata", "annotations", WAVE) != revision_of(branch(deployment, "spec", "template")):
        return False
    if number(deployment, "status", "observedGeneration") < number(deployment, "metadata", "generation"):
        return True
    wanted = number(deployment, "spec", "replicas")
    counts = (number(deployment, "status", key) for key in ("updatedReplicas", "availableReplicas"))
    return number(deployment, "status", "replicas") > wanted or min(counts) < wanted


def _has_to_wait(wanted: Manifest, world: World) -> bool:
    live, asked = world.deployment, revision_of(wanted["spec"]["template"])
    runs, noted = revision_of(_kept_by(live)), text(live, "metadata", "annotations", ASKED)
    if not runs or (noted and noted != _asked_by(wanted)):
        return False
    if world.service.metadata.annotations.get(TAKE_TEMPLATE) == asked:
        return False
    back = taken_back(live)
    if world.canary or (back is not None and back.revision == asked):
        return False
    pods = [pod for pod in (*world.pods.current, *world.pods.earlier) if revision_of(pod) == runs and is_placed(pod)]
    return any(map(is_ready, pods)) or (bool(pods) and not world.pods.failures())


def _kept_by(live: Tree) -> Tree:
    """The template to keep: the one that was noted, so that what others have changed since is repaired."""
    noted = branch(read_note(live, KEPT_TEMPLATE), "template")
    return noted if revision_of(noted) else without_empty(branch(live, "spec", "template"))


def _updates_of(profile: RuntimeProfile | None) -> Updates:
    return profile.spec.updates if profile else Updates()


def _window(world: World) -> tuple[bool, float | None]:
    """Whether the window of the profile is open, and in how many seconds that changes."""
    window, now = _updates_of(world.profile).window, world.state.seen_at
    if window is None or now is None or world.profile is None:
        return False, None
    path = f"RuntimeProfile {world.profile.metadata.name}: spec.updates.window"
    is_open, change = look_at_times(window, path, now)
    return is_open, max(0.0, (change - now).total_seconds()) if change else None


def _is_deployment(manifest: Manifest) -> bool:
    return bool(manifest["kind"] == DEPLOYMENT.kind)


def _asked_by(manifest: Manifest) -> str:
    return text(manifest, "metadata", "annotations", ASKED)
