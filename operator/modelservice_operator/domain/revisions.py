"""Which of two pod templates the Deployment gets: the spec's, or the last one that was seen to serve.

All that is needed to go back stands in two annotations of the Deployment: the pod template that last served with all
its replicas, and the revision that was taken back, with the reason. They are written with the template, in one apply:
there is no moment at which a restarted operator could find one without the other. A Deployment that is deleted forgets
both.

What was taken back stays so while the spec asks for the same pods, whatever else of the spec changes: a scaler that
writes the number of replicas must not start a broken revision again. Another pod template starts afresh, and so does
turning `autoRollback` off and on. A canary is tried beside the Deployment, which meanwhile keeps what served.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..api.kinds import DEPLOYMENT, SERVICE_ACCOUNT
from ..api.names import TAKEN_BACK, VERIFIED_TEMPLATE
from ..api.reasons import ConditionType, Reason
from ..api.v1alpha1 import ModelService
from .notes import annotated, as_note, read_note
from .plan import ChildKey
from .pods import Pods, revision_of
from .promotion import next_stage, weight_of
from .tree import Tree, branch, text
from .world import World, condition_of, is_late

Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A revision that was taken back, the name of its ReplicaSet, and why."""

    revision: str
    name: str
    reason: str
    message: str


def keeps_revisions(service: ModelService) -> bool:
    """Whether what served last is noted, to go back to or to be served beside a canary."""
    return service.spec.rollout.auto_rollback or service.spec.rollout.strategy == "Canary"


def choose_revision(wanted: Manifest, world: World) -> Manifest:
    """The Deployment to apply: the wanted one, or the wanted one with the pods of the last revision that served."""
    if not keeps_revisions(world.service):
        return wanted
    asked = wanted["spec"]["template"]
    verified, back = _served(asked, world), taken_back(world.deployment)
    is_new = bool(verified) and revision_of(verified) != revision_of(asked)
    if not world.service.spec.rollout.auto_rollback or (back is not None and back.revision != revision_of(asked)):
        back = None
    elif back is None and is_new:
        back = _failure(world, revision_of(asked))
    if not is_new:
        return _with(wanted, asked, verified, None)
    stays = back is not None or weight_of(world.service, next_stage(world, revision_of(asked))) < 100
    return _with(wanted, verified if stays else asked, verified, back)


def kept_accounts(manifests: Iterable[Manifest], children: Iterable[ChildKey]) -> frozenset[ChildKey]:
    """ServiceAccounts that pods run with although the spec names another one: those of a revision gone back to."""
    deployments = (manifest for manifest in manifests if manifest["kind"] == DEPLOYMENT.kind)
    names = {text(deployment, "spec", "template", "spec", "serviceAccountName") for deployment in deployments}
    return frozenset((kind, name) for kind, name in children if kind == SERVICE_ACCOUNT.kind and name in names)


def verified_template(deployment: Tree) -> Tree:
    """The pod template that last served with all its replicas; empty when none is known."""
    return read_note(deployment, VERIFIED_TEMPLATE)


def taken_back(deployment: Tree) -> TakenBack | None:
    """The revision that the Deployment does not run because it failed."""
    said = read_note(deployment, TAKEN_BACK)
    words = {key: text(said, key) for key in ("revision", "name", "reason", "message")}
    return TakenBack(**words) if words["revision"] else None


def _served(asked: Tree, world: World) -> Tree:
    """The pod template that is known to have served last: the one that serves now, else the one that was noted."""
    live, noted = branch(world.deployment, "spec", "template"), verified_template(world.deployment)
    if not (world.pods.ready and world.is_serving):
        return noted
    if revision_of(live) == revision_of(asked):
        return asked
    return noted if noted or not revision_of(live) else without_empty(live)


def without_empty(live: Tree) -> Tree:
    """A live pod template without what the API server writes for nothing."""
    metadata = {key: value for key, value in branch(live, "metadata").items() if value is not None}
    return {**live, "metadata": metadata}


def _failure(world: World, revision: str) -> TakenBack | None:
    """Why the revision that is being rolled out or tried has to be taken back; None while it may become ready."""
    tried = ((world.deployment, world.pods), (world.canary, world.canary_pods))
    for deployment, pods in tried:
        if revision_of(branch(deployment, "spec", "template")) == revision:
            seconds = world.service.spec.rollout.progress_deadline_seconds
            return _failure_of(revision, deployment, pods, seconds)
    return None


def _failure_of(revision: str, deployment: Tree, pods: Pods, seconds: int) -> TakenBack | None:
    failures = [found for _, found in pods.failures()]
    name = f"{text(deployment, 'metadata', 'name')}-{pods.revision}" if pods.revision else ""
    for found in failures:
        if condition_of(found) is ConditionType.VERIFIED:
            return TakenBack(revision, name, found.reason, found.message)
    if not is_late(deployment, pods):
        return None
    late = f"it was not ready within {seconds} s"
    message = f"{late}: {failures[0].reason}: {failures[0].message}" if failures else late
    return TakenBack(revision, name, Reason.DEADLINE_EXCEEDED, message)


def _with(wanted: Manifest, template: Tree, verified: Tree, back: TakenBack | None) -> Manifest:
    notes = {VERIFIED_TEMPLATE: dict(verified), TAKEN_BACK: asdict(back) if back else {}}
    chosen = {**wanted, "spec": {**wanted["spec"], "template": template}}
    return annotated(chosen, {key: as_note(note) for key, note in notes.items() if note})
