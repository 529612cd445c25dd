"""Kinds that a cluster may lack, or get while the operator runs.

Looked for quietly, watched for as long as they are served.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from modelservice_operator.kube.api import KubeApi
from modelservice_operator.kube.errors import ApiError
from modelservice_operator.kube.resources import Resource
from modelservice_operator.kube.watch import Watch

log = logging.getLogger(__name__)

LOOK_SECONDS = 15.0


class OptionalKind:
    """One optional kind; `fill` lists it before it counts as served, `on_change` is told whenever it comes or goes."""

    def __init__(
        self,
        resource: Resource,
        api: KubeApi,
        watch: Watch,
        fill: Callable[[Resource], Awaitable[object]],
        on_change: Callable[[Resource, bool], None],
    ) -> None:
        self.resource = resource
        self.served = False
        self._api = api
        self._watch = watch
        self._fill = fill
        self._on_change = on_change

    async def look(self) -> None:
        """Ask once whether the kind is served, and list it if it is. Raises ApiError when that cannot be known."""
        if await self._api.serves(self.resource):
            await self._fill(self.resource)
            self.served = True
            self._on_change(self.resource, True)

    async def run(self, on_spawned: Callable[[], None]) -> None:
        """Look until the kind is served, watch until it is gone, for ever."""
        while True:
            if self.served:
                await self._watch_until_gone(on_spawned)
            await asyncio.sleep(LOOK_SECONDS * random.uniform(0.8, 1.0))  # noqa: S311
            try:
                await self.look()
            except ApiError as error:
                log.debug("Whether %s is served is not known: %s", self.resource.kind, error)
            else:
                if self.served:
                    log.info("%s is served now", self.resource.kind)

    async def _watch_until_gone(self, on_spawned: Callable[[], None]) -> None:
        try:
            await self._watch.run(on_spawned)
        except Exception as error:
            log.warning("The watch of %s ended: %s: %s", self.resource.kind, type(error).__name__, error)
        self.served = False
        self._on_change(self.resource, False)
