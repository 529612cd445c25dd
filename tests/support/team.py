"""A user's namespace in a real API server: make ModelServices, change children, look at what is there."""

import copy
import uuid
from collections.abc import Callable
from typing import Any

from modelservice_operator.api.kinds import CHILD_KINDS
from modelservice_operator.kube.client import KubernetesApi
from modelservice_operator.kube.errors import Conflict, NotFound, Throttled
from modelservice_operator.kube.resources import BY_KIND, MODEL_SERVICE, Resource
from tests.support.polling import until_async

Body = dict[str, Any]

NAMESPACE = Resource("Namespace", "", "v1", "namespaces", namespaced=False)

EVERYTHING = {
    "autoscaling": {"minReplicas": 1, "maxReplicas": 3, "metrics": [{"type": "CPU", "target": "70"}]},
    "availability": {"minAvailable": 1},
    "observability": {"serviceMonitor": {}},
}
"""Spec blocks that ask for every kind of child."""


def make_modelservice(namespace: str, name: str, **spec: Any) -> Body:
    """A small ModelService, whose model needs no preflight; keywords are blocks of its spec."""
    return {
        "apiVersion": "modelservice.dev/v1alpha1",
        "kind": "ModelService",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"model": {"uri": "pvc://tests/tiny"}, **copy.deepcopy(spec)},
    }


class Team:
    """One namespace with a random name."""

    def __init__(self, api: KubernetesApi) -> None:
        self.api = api
        self.namespace = f"team-{uuid.uuid4().hex[:8]}"

    async def open(self) -> None:
        """Make the namespace."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        await self.api.create(NAMESPACE, body)

    async def close(self) -> None:
        """Remove the ModelServices and the namespace."""
        async for page in self.api.list_pages(MODEL_SERVICE, self.namespace):
            for item in page.items:
                await self.remove(MODEL_SERVICE.kind, item["metadata"]["name"])
        body = await self.api.get(NAMESPACE, "", self.namespace)
        await self.api.delete(NAMESPACE, "", self.namespace, body["metadata"]["uid"])

    async def create(self, name: str, **spec: Any) -> Body:
        """Create a ModelService."""
        return await self.api.create(MODEL_SERVICE, make_modelservice(self.namespace, name, **spec))

    async def get(self, kind: str, name: str) -> Body | None:
        """An object of ours, or None."""
        try:
            return await self.api.get(_resource(kind), self.namespace, name)
        except NotFound:
            return None

    async def change(self, kind: str, name: str, edit: Callable[[Body], Any]) -> Body:
        """Edit an object as a person would, again if someone was faster."""
        while True:
            body = await self.api.get(_resource(kind), self.namespace, name)
            edit(body)
            try:
                return await self.api.replace(_resource(kind), body)
            except Conflict:
                continue

    async def remove(self, kind: str, name: str) -> str:
        """Delete an object; return the uid that it had."""
        body = await self.api.get(_resource(kind), self.namespace, name)
        uid: str = body["metadata"]["uid"]
        await self.api.delete(_resource(kind), self.namespace, name, uid)
        return uid

    async def children(self) -> set[tuple[str, str]]:
        """Kind and name of every child in the namespace; kinds that are not served, or not yet, have none."""
        found = set()
        for kind in CHILD_KINDS:
            try:
                async for page in self.api.list_pages(_resource(kind.kind), self.namespace):
                    found |= {(kind.kind, item["metadata"]["name"]) for item in page.items}
            except (NotFound, Throttled):
                continue
        return found

    async def expect_children(self, *kinds: str, name: str, seconds: float = 20.0) -> None:
        """Wait until exactly these children of `name` exist."""
        wanted = {(kind, name) for kind in kinds}

        async def there() -> bool:
            return {child for child in await self.children() if child[1] == name} == wanted

        await until_async(there, seconds)

    async def condition(self, name: str, type_: str) -> Body:
        """One condition of a ModelService; empty while it has none."""
        body = await self.get(MODEL_SERVICE.kind, name) or {}
        conditions = body.get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == type_), {})

    async def expect_condition(self, name: str, type_: str, status: str, reason: str, seconds: float = 10.0) -> Body:
        """Wait for a condition, and return it."""

        async def so() -> bool:
            condition = await self.condition(name, type_)
            return (condition.get("status"), condition.get("reason")) == (status, reason)

        await until_async(so, seconds)
        return await self.condition(name, type_)

    async def quiet(self, seconds: float = 1.5) -> None:
        """Wait until no version in the namespace has changed for that long: every status was written."""
        seen: dict[str, str] = {}

        async def still() -> bool:
            now = await self.versions()
            same = now == seen
            seen.clear()
            seen.update(now)
            return same

        await until_async(still, 30.0, pause=seconds)

    async def versions(self) -> dict[str, str]:
        """The resourceVersion of every ModelService and child, by uid."""
        versions = {}
        for resource in (MODEL_SERVICE, *(_resource(kind.kind) for kind in CHILD_KINDS if not kind.optional)):
            async for page in self.api.list_pages(resource, self.namespace):
                for item in page.items:
                    versions[item["metadata"]["uid"]] = item["metadata"]["resourceVersion"]
        return versions


def _resource(kind: str) -> Resource:
    return BY_KIND[kind]
