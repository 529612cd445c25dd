"""Complete lists through the `KubeApi`, as the engine's resync wants them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from modelservice_operator.engine.cache import Record
from modelservice_operator.engine.resync import Snapshot
from modelservice_operator.kube.api import KubeApi
from modelservice_operator.kube.resources import BY_KIND, Resource


class Lister:
    """Lists one kind in the served namespaces; projects page by page, so that no whole list is ever held."""

    def __init__(
        self, api: KubeApi, namespaces: Sequence[str], record_of: Callable[[Resource, Mapping[str, Any]], Record]
    ) -> None:
        self._api = api
        self._namespaces = tuple(namespaces)
        self._record_of = record_of

    async def snapshot(self, kind: str) -> Snapshot:
        """List a kind.

        The version is the oldest of the lists made, so that a sweep removes too little, never too much.
        """
        resource = BY_KIND[kind]
        records: list[Record] = []
        versions: list[int] = []
        for namespace in self._namespaces if resource.namespaced and self._namespaces else ("",):
            async for page in self._api.list_pages(resource, namespace, deadline=30.0):
                versions.append(int(page.version))
                records.extend(self._record_of(resource, item) for item in page.items)
        return Snapshot(kind, records, min(versions))
