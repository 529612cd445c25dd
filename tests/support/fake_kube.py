"""An API server in memory, as far as the operator can tell: versions, uids, preconditions, apply by ownership.

It implements `modelservice_operator.kube.api.KubeApi`. What it does like the real one is held by tests/contract; what
it adds are `fail` (make a call raise) and `writes` (what was written, for counting).
"""

import copy
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelservice_operator.kube.api import DEADLINE, PAGE, Body, Page
from modelservice_operator.kube.errors import ApiError, Conflict, NotFound
from modelservice_operator.kube.resources import BY_KIND, CLAIM, LEASE, Resource

Place = tuple[str, str, str]


@dataclass
class FakeKube:
    """Objects by kind, namespace and name; `served` are the kinds that exist."""

    served: set[str] = field(default_factory=lambda: {*BY_KIND, LEASE.kind, CLAIM.kind})
    objects: dict[Place, Body] = field(default_factory=dict)
    writes: list[tuple[str, str, str]] = field(default_factory=list)
    reads: list[tuple[str, str, str]] = field(default_factory=list)
    fail: Callable[[str, str, str], ApiError | None] = lambda verb, kind, name: None
    _applied: dict[Place, Body] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1000))

    async def get(self, resource: Resource, namespace: str, name: str, deadline: float = DEADLINE) -> Body:
        self._enter("get", resource, name)
        return copy.deepcopy(self._find(resource, namespace, name))

    async def list_pages(
        self, resource: Resource, namespace: str = "", limit: int = PAGE, deadline: float = DEADLINE
    ) -> AsyncIterator[Page]:
        self._enter("list", resource, "")
        wanted = dict(part.split("=", 1) for part in resource.selector.split(",") if part)
        items = [
            copy.deepcopy(body)
            for (kind, space, _), body in sorted(self.objects.items())
            if kind == resource.kind and namespace in ("", space) and _matches(body, wanted)
        ]
        version = str(next(self._numbers))
        for start in range(0, max(len(items), 1), limit):
            yield Page(items[start : start + limit], version)

    async def apply(
        self, resource: Resource, manifest: Mapping[str, Any], deadline: float = DEADLINE, only_new: bool = False
    ) -> Body:
        place = _place(resource, manifest)
        self._enter("apply", resource, place[2])
        known = self.objects.get(place)
        if known and only_new:
            raise Conflict(409, "the object has been modified", "Conflict")
        body = copy.deepcopy(known) if known else {"metadata": {}}
        _withdraw(body, self._applied.get(place, {}), dict(manifest))
        _merge(body, copy.deepcopy(dict(manifest)))
        self._applied[place] = copy.deepcopy(dict(manifest))
        if body != known:
            self._store(place, body)
        return copy.deepcopy(self.objects[place])

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str, deadline: float = DEADLINE) -> None:
        self._enter("delete", resource, name)
        if self._find(resource, namespace, name)["metadata"]["uid"] != uid:
            raise Conflict(409, "the UID in the precondition does not match", "Conflict")
        self.remove(resource, namespace, name)

    async def patch_status(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: Mapping[str, Any],
        version: str,
        deadline: float = DEADLINE,
    ) -> Body:
        self._enter("patch_status", resource, name)
        known = self._find(resource, namespace, name)
        if known["metadata"]["resourceVersion"] != version:
            raise Conflict(409, "the object has been modified", "Conflict")
        body = copy.deepcopy(known)
        body["status"] = apply_merge_patch(body.get("status") or {}, patch)
        if body != known:
            self._store((resource.kind, namespace, name), body)
        return copy.deepcopy(self._find(resource, namespace, name))

    async def create(self, resource: Resource, body: Mapping[str, Any], deadline: float = DEADLINE) -> Body:
        place = _place(resource, body)
        self._enter("create", resource, place[2])
        if place in self.objects:
            raise Conflict(409, "already exists", "AlreadyExists")
        self._store(place, copy.deepcopy(dict(body)))
        return copy.deepcopy(self.objects[place])

    async def replace(self, resource: Resource, body: Mapping[str, Any], deadline: float = DEADLINE) -> Body:
        place = _place(resource, body)
        self._enter("replace", resource, place[2])
        known = self._find(resource, place[1], place[2])
        if body["metadata"].get("resourceVersion") not in (None, known["metadata"]["resourceVersion"]):
            raise Conflict(409, "the object has been modified", "Conflict")
        fresh = copy.deepcopy(dict(body))
        fresh["metadata"] = {**known["metadata"], **fresh["metadata"]}
        if fresh != known:
            self._store(place, fresh)
        return copy.deepcopy(self.objects[place])

    async def scale_from_zero(self, resource: Resource, namespace: str, name: str, deadline: float = DEADLINE) -> bool:
        self._enter("patch_scale", resource, name)
        body = copy.deepcopy(self._find(resource, namespace, name))
        if body["spec"].get("replicas", 1):
            return False
        body["spec"]["replicas"] = 1
        self._store((resource.kind, namespace, name), body)
        return True

    async def serves(self, resource: Resource, deadline: float = DEADLINE) -> bool:
        self._enter("discover", resource, "")
        return resource.kind in self.served

    def put(self, resource: Resource, body: Mapping[str, Any]) -> Body:
        """Store an object as someone else would, and return it."""
        place = _place(resource, body)
        self._store(place, copy.deepcopy(dict(body)))
        return copy.deepcopy(self.objects[place])

    def remove(self, resource: Resource, namespace: str, name: str) -> Body:
        """Remove an object as someone else would, and return it as its deletion event would show it."""
        place = (resource.kind, namespace, name)
        self._applied.pop(place, None)
        body = self.objects.pop(place)
        body["metadata"]["resourceVersion"] = str(next(self._numbers))
        return body

    def _enter(self, verb: str, resource: Resource, name: str) -> None:
        log = self.reads if verb in ("get", "list", "discover") else self.writes
        log.append((verb, resource.kind, name))
        error = self.fail(verb, resource.kind, name)
        if error is not None:
            raise error
        if resource.kind not in self.served and verb != "discover":
            raise NotFound(404, "the server could not find the requested resource", "NotFound")

    def _find(self, resource: Resource, namespace: str, name: str) -> Body:
        try:
            return self.objects[(resource.kind, namespace, name)]
        except KeyError:
            raise NotFound(404, f'{resource.plural} "{name}" not found', "NotFound") from None

    def _store(self, place: Place, body: Body) -> None:
        known = self.objects.get(place)
        metadata = body["metadata"]
        number = next(self._numbers)
        metadata["uid"] = known["metadata"]["uid"] if known else metadata.get("uid") or f"uid-{number}"
        changed_spec = known is None or known.get("spec") != body.get("spec")
        metadata["generation"] = (known["metadata"]["generation"] if known else 0) + int(changed_spec)
        metadata["resourceVersion"] = str(number)
        metadata.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        self.objects[place] = body


def _place(resource: Resource, body: Mapping[str, Any]) -> Place:
    metadata = body["metadata"]
    return resource.kind, metadata.get("namespace", "") if resource.namespaced else "", metadata["name"]


def _matches(body: Body, wanted: Mapping[str, str]) -> bool:
    return wanted.items() <= (body["metadata"].get("labels") or {}).items()


def _merge(into: Body, manifest: Mapping[str, Any]) -> None:
    """Maps merge, everything else is replaced: enough like apply for objects whose lists nobody else writes to."""
    for key, value in manifest.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _withdraw(body: Body, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Remove the fields that the manager applied before and does not apply any more."""
    for key, value in before.items():
        if key not in after:
            body.pop(key, None)
        elif isinstance(value, dict) and isinstance(after[key], dict) and isinstance(body.get(key), dict):
            _withdraw(body[key], value, after[key])


def apply_merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = apply_merge_patch(result.get(key), value)
    return result
