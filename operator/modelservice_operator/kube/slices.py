"""EndpointSlices as they are now: seen by a watch, and listed again from time to time for what the watch lost."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from modelservice_operator.engine.cache import Cache, ObjectId, Record
from modelservice_operator.kube.api import KubeApi
from modelservice_operator.kube.client import Connection
from modelservice_operator.kube.endpoints import Slice, read_slice
from modelservice_operator.kube.errors import ApiError
from modelservice_operator.kube.resources import Resource
from modelservice_operator.kube.watch import Watch

log = logging.getLogger(__name__)

LIST_SECONDS: Final = 60.0


class Slices:
    """The slices of a resource in some namespaces (none: in all); `on_change` is called after every change."""

    def __init__(
        self,
        api: KubeApi,
        resource: Resource,
        connect: Callable[[], Awaitable[Connection]],
        namespaces: Sequence[str],
        on_change: Callable[[], None],
    ) -> None:
        self._api = api
        self._resource = resource
        self._namespaces = tuple(namespaces)
        self._on_change = on_change
        self._cache = Cache()
        self._watch = Watch((resource,), self.on_event, connect, namespaces)

    def all(self) -> Iterable[Slice]:
        """The slices that are known now."""
        return (read_slice(record.body) for record in self._cache.of_kind(self._resource.kind))

    def on_event(self, resource: Resource, type_: str, raw: Mapping[str, Any]) -> None:
        """Take one event of the watch."""
        record = _record_of(resource, raw)
        if type_ == "DELETED":
            changed = self._cache.delete(record.id, record.uid, record.version) is not None
        else:
            changed = self._cache.upsert(record)
        if changed:
            self._on_change()

    async def fill(self) -> None:
        """List everything, and forget what is gone. Raises ApiError."""
        seen, versions = [], []
        for namespace in self._namespaces or ("",):
            async for page in self._api.list_pages(self._resource, namespace):
                versions.append(int(page.version))
                seen += [_record_of(self._resource, item) for item in page.items]
        changed = [self._cache.upsert(record) for record in seen]
        gone = self._cache.sweep(self._resource.kind, (record.id for record in seen), min(versions))
        if gone or any(changed):
            self._on_change()

    async def run(self, on_spawned: Callable[[], None]) -> None:
        """Watch and list until cancelled; raise the error that ends the watch. See `Watch.run` for `on_spawned`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch.run(on_spawned), name="slices")
            group.create_task(self._list_again(), name="slices-list")

    async def _list_again(self) -> None:
        while True:
            await asyncio.sleep(LIST_SECONDS)
            try:
                await self.fill()
            except ApiError as error:
                log.warning("EndpointSlices cannot be listed, what is known stays: %s", error)


def _record_of(resource: Resource, raw: Mapping[str, Any]) -> Record:
    metadata = raw["metadata"]
    where = ObjectId(resource.kind, metadata["namespace"], metadata["name"])
    body = {
        "metadata": {"namespace": metadata["namespace"], "labels": metadata.get("labels") or {}},
        "endpoints": [_pick(each, ("addresses", "conditions")) for each in raw.get("endpoints") or ()],
        "ports": [_pick(each, ("name", "port")) for each in raw.get("ports") or ()],
    }
    return Record.of(where, metadata["uid"], int(metadata["resourceVersion"]), None, body)


def _pick(source: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: source[key] for key in keys if key in source}
