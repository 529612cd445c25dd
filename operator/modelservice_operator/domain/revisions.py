"""Going back: which of two pod templates the Deployment gets, the spec's or the last one that was seen to serve.

All that is needed for it stands in two annotations of the Deployment: the pod template that last served with all its
replicas, and the revision that was taken back, with the reason. They are written with the template, in one apply: there
is no moment at which a restarted operator could find one without the other. A Deployment that is deleted forgets both.

What was taken back stays so while the spec asks for the same pods, whatever else of the spec changes: a scaler that
writes the number of replicas must not start a broken revision again. Another pod template starts afresh, and so does
turning `autoRollback` off and on.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..api.names import TAKEN_BACK, VERIFIED_TEMPLATE
from ..api.reasons import ConditionType, Reason
from .pods import revision_of
from .tree import Tree, branch, text
from .world import World

Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A revision that was taken back, the name of its ReplicaSet, and why."""

    revision: str
    name: str
    reason: str
    message: str


def choose_revision(wanted: Manifest, world: World) -> Manifest:
    """The Deployment to apply: the wanted one, or the wanted one with the pods of the last revision that served."""
    if not world.service.spec.rollout.auto_rollback:
        return wanted
    asked = wanted["spec"]["template"]
    verified, back = verified_template(world.deployment), taken_back(world.deployment)
    is_live = revision_of(branch(world.deployment, "spec", "template")) == revision_of(asked)
    if is_live and world.pods.ready and world.is_serving:
        verified = asked
    if back is not None and back.revision != revision_of(asked):
        back = None
    if back is None and is_live and verified and revision_of(verified) != revision_of(asked):
        back = _failure(world, revision_of(asked))
    if not verified or back is None:
        return _with(wanted, asked, verified, None)
    return _with(wanted, verified, verified, back)


def verified_template(deployment: Tree) -> Tree:
    """The pod template that last served with all its replicas; empty when none is known."""
    return _read(deployment, VERIFIED_TEMPLATE)


def taken_back(deployment: Tree) -> TakenBack | None:
    """The revision that the Deployment does not run because it failed."""
    said = _read(deployment, TAKEN_BACK)
    words = {key: text(said, key) for key in ("revision", "name", "reason", "message")}
    return TakenBack(**words) if words["revision"] else None


def _failure(world: World, revision: str) -> TakenBack | None:
    """Why the revision that is being rolled out has to be taken back; None while it may still become ready."""
    name = f"{world.service.metadata.name}-{world.pods.revision}" if world.pods.revision else ""
    if found := world.failure_for(ConditionType.VERIFIED):
        return TakenBack(revision, name, found[1].reason, found[1].message)
    if not world.has_missed_deadline:
        return None
    cause = world.failures[0][1] if world.failures else None
    late = f"it was not ready within {world.service.spec.rollout.progress_deadline_seconds} s"
    message = f"{late}: {cause.reason}: {cause.message}" if cause else late
    return TakenBack(revision, name, Reason.DEADLINE_EXCEEDED, message)


def _with(wanted: Manifest, template: Tree, verified: Tree, back: TakenBack | None) -> Manifest:
    metadata = wanted["metadata"]
    notes = {VERIFIED_TEMPLATE: dict(verified), TAKEN_BACK: asdict(back) if back else {}}
    written = {key: json.dumps(note, sort_keys=True, separators=(",", ":")) for key, note in notes.items() if note}
    return {
        **wanted,
        "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), **written}},
        "spec": {**wanted["spec"], "template": template},
    }


def _read(deployment: Tree, annotation: str) -> Tree:
    try:
        found = json.loads(text(deployment, "metadata", "annotations", annotation) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}
