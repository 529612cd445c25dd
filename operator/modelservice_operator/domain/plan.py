"""Plan: what has to be done so that the children are as desired. An object that is in sync costs nothing.

A child is in sync when it carries the hash of its manifest and has every field of it, either as written or as the API
server answered when it was applied last (`remember`): a spelling that the server changes never causes endless repair.
A child that is not ours is left alone and named as a conflict; a child of ours that is no longer desired is deleted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..api.kinds import BY_KIND, DEPLOYMENT
from ..api.names import DESIRED_HASH, LABEL_MANAGED_BY, LABEL_NAME
from .compare import differences, pick
from .project import OWNS_REPLICAS

ChildKey = tuple[str, str]
"""Kind and name of a child."""

ApplyReason = Literal["Missing", "Changed", "Drifted"]
State = Literal["InSync", "Pending", "Drifted", "Conflict", "Deleting", "Held"]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the API server made of a manifest: the manifest's hash, and its fields as the answer had them."""

    digest: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Observed:
    """The live children of one ModelService, projected, and what is recorded of the last applies.

    `kept` are children that stay as they are although they are not desired now.
    """

    owner_uid: str
    children: Mapping[ChildKey, Mapping[str, Any]]
    recorded: Mapping[ChildKey, Recorded] = field(default_factory=dict)
    kept: frozenset[ChildKey] = frozenset()


@dataclass(frozen=True, slots=True)
class Apply:
    """Apply a manifest. `fields` are the paths that differ; empty for a child that is missing."""

    manifest: Mapping[str, Any]
    reason: ApplyReason
    fields: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Kind of the child."""
        return str(self.manifest["kind"])

    @property
    def name(self) -> str:
        """Name of the child."""
        return str(self.manifest["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Namespace of the child."""
        return str(self.manifest["metadata"]["namespace"])


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a child, if it is still the object with this uid."""

    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class NameConflict:
    """An object that is not ours has the name of a child.

    `owner` is its controller, such as `Deployment/web`, if it has one.
    """

    kind: str
    name: str
    owner: str = ""

    @property
    def message(self) -> str:
        """The conflict in a sentence."""
        whose = f"belongs to {self.owner}" if self.owner else "was not made by the operator"
        return f"{self.kind} {self.name} exists and {whose}; rename the ModelService or remove that {self.kind}"


@dataclass(frozen=True, slots=True)
class Drift:
    """A field that others changed. `manager` are the field managers that own it; empty when it was removed."""

    field: str
    manager: str = ""

    @property
    def message(self) -> str:
        """The change in a few words."""
        return f"{self.field} (set by {self.manager})" if self.manager else f"{self.field} (removed)"


@dataclass(frozen=True, slots=True)
class ChildState:
    """How one child stands before the actions. `drift` is what stays as others made it."""

    kind: str
    name: str
    state: State
    drift: tuple[Drift, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in order. `waiting` says that a child is being deleted and its event has to be awaited."""

    actions: tuple[Apply | Delete, ...]
    conflicts: tuple[NameConflict, ...]
    children: tuple[ChildState, ...]
    waiting: bool

    @property
    def in_sync(self) -> bool:
        """Whether nothing has to be done, awaited or complained about."""
        drifted = any(child.drift for child in self.children)
        return not (self.actions or self.conflicts or self.waiting or drifted)


def plan(desired: Sequence[Mapping[str, Any]], observed: Observed) -> Plan:
    """Compare manifests with live children. `desired` has the order in which children are applied."""
    actions: list[Apply | Delete] = []
    conflicts: list[NameConflict] = []
    states: list[ChildState] = []
    for manifest in desired:
        key = _key_of(manifest)
        step = _step(manifest, observed.children.get(key), observed)
        if isinstance(step, NameConflict):
            conflicts.append(step)
            states.append(ChildState(*key, "Conflict"))
        elif isinstance(step, Apply):
            actions.append(step)
            states.append(ChildState(*key, "Pending"))
        else:
            states.append(ChildState(*key, step))
    surplus = _surplus(desired, observed)
    actions += [step for step in surplus if isinstance(step, Delete)]
    states += [step for step in surplus if isinstance(step, ChildState)]
    waiting = any(child.state == "Deleting" for child in states)
    return Plan(tuple(actions), tuple(conflicts), tuple(states), waiting)


def remember(manifest: Mapping[str, Any], response: Mapping[str, Any]) -> Recorded | None:
    """Record what the API server answered to the apply of a manifest; None when it has every field as written."""
    owned = _owned(manifest)
    if next(differences(owned, response), None) is None:
        return None
    return Recorded(_digest_of(manifest), pick(owned, response))


def _step(
    manifest: Mapping[str, Any], live: Mapping[str, Any] | None, observed: Observed
) -> Apply | NameConflict | Literal["InSync", "Deleting"]:
    if live is None:
        return Apply(manifest, "Missing")
    conflict = _conflict(manifest, live, observed)
    if conflict is not None:
        return conflict
    if live["metadata"].get("deletionTimestamp"):
        return "Deleting"
    changed = _digest_of(live) != _digest_of(manifest)
    fields = _changed_fields(manifest, live, observed.recorded.get(_key_of(manifest)))
    if not changed and not fields:
        return "InSync"
    return Apply(_keep_replicas(manifest, live), "Changed" if changed else "Drifted", fields)


def _changed_fields(manifest: Mapping[str, Any], live: Mapping[str, Any], recorded: Recorded | None) -> tuple[str, ...]:
    owned = _owned(manifest)
    fields = tuple(differences(owned, live))
    if fields and recorded is not None and recorded.digest == _digest_of(manifest):
        fields = () if pick(owned, live) == recorded.fields else fields
    return fields


def _owned(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a manifest that say something about the live object; the others identify it."""
    return {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind")}


def _conflict(manifest: Mapping[str, Any], live: Mapping[str, Any], observed: Observed) -> NameConflict | None:
    controller = _controller_of(live)
    if controller is None:
        return None if _is_stripped(live, manifest) else NameConflict(*_key_of(manifest))
    if controller.get("uid") == observed.owner_uid:
        return None
    return NameConflict(*_key_of(manifest), f"{controller.get('kind', '?')}/{controller.get('name', '?')}")


def _controller_of(live: Mapping[str, Any]) -> Mapping[str, Any] | None:
    references = live["metadata"].get("ownerReferences") or ()
    return next((reference for reference in references if reference.get("controller")), None)


def _is_stripped(live: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    """Whether an object without a controller is a child of ours whose owner reference was taken away."""
    labels, wanted = live["metadata"].get("labels") or {}, manifest["metadata"]["labels"]
    ours = all(labels.get(key) == wanted[key] for key in (LABEL_MANAGED_BY, LABEL_NAME))
    return ours and bool(_digest_of(live))


def _surplus(desired: Sequence[Mapping[str, Any]], observed: Observed) -> list[Delete | ChildState]:
    """Children of ours that are not desired any more: to be deleted, or being deleted already."""
    wanted = {_key_of(manifest) for manifest in desired}
    steps: list[Delete | ChildState] = []
    for (kind, name), live in observed.children.items():
        controller = _controller_of(live)
        if (kind, name) in wanted or kind not in BY_KIND or controller is None:
            continue
        if controller.get("uid") != observed.owner_uid:
            continue
        metadata = live["metadata"]
        if metadata.get("deletionTimestamp"):
            steps.append(ChildState(kind, name, "Deleting"))
        elif (kind, name) in observed.kept:
            steps.append(ChildState(kind, name, "Held"))
        else:
            steps.append(Delete(kind, metadata.get("namespace", ""), name, metadata.get("uid", "")))
    return steps


def _keep_replicas(manifest: Mapping[str, Any], live: Mapping[str, Any]) -> Mapping[str, Any]:
    """Hand the number of replicas over to an autoscaler without letting go of it.

    Server-side apply removes a field that we owned and leave out, and a Deployment without the field has one replica.
    So while the field is still ours its live value is applied again; the autoscaler's first own write takes it from us.
    At zero no autoscaler would ever act, so at least one replica is left.
    """
    spec = manifest.get("spec") or {}
    if manifest["kind"] != DEPLOYMENT.kind or "replicas" in spec or not live.get(OWNS_REPLICAS):
        return manifest
    replicas = (live.get("spec") or {}).get("replicas")
    if not isinstance(replicas, int):
        return manifest
    return {**manifest, "spec": {**spec, "replicas": max(1, replicas)}}


def _key_of(manifest: Mapping[str, Any]) -> ChildKey:
    return manifest["kind"], manifest["metadata"]["name"]


def _digest_of(body: Mapping[str, Any]) -> str:
    return str((body["metadata"].get("annotations") or {}).get(DESIRED_HASH, ""))
