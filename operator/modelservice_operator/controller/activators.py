"""What the activator's pods hold and pass on, which counts as requests of the service."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable

from modelservice_operator.api.activator import ACTIVITY_PATH, PAGES_PORT
from modelservice_operator.controller.keys import Key
from modelservice_operator.kube.endpoints import Slice
from modelservice_operator.observability.scrape import UNREADABLE, Scraper

log = logging.getLogger(__name__)

FRESH_SECONDS = 0.4
"""One answer serves all services that are looked at together."""


class Activators:
    """`slices` are those of the activator's Service; None where no activator is installed."""

    def __init__(self, slices: Callable[[], Iterable[Slice]] | None, scraper: Scraper) -> None:
        self._slices = slices
        self._scraper = scraper
        self._read_at = float("-inf")
        self._busy: frozenset[str] | None = frozenset()
        self._lock = asyncio.Lock()

    def addresses(self) -> tuple[str, ...] | None:
        """The addresses of the pods that are ready, in order; None where no activator is installed."""
        if self._slices is None:
            return None
        return tuple(sorted({address for each in self._slices() for address in each.addresses}))

    async def is_busy(self, key: Key) -> bool | None:
        """Whether a pod has requests of a service; None when one of them does not say."""
        if self._slices is None:
            return False
        async with self._lock:
            if time.monotonic() - self._read_at > FRESH_SECONDS:
                self._busy = await self._read()
                self._read_at = time.monotonic()
        return None if self._busy is None else str(key) in self._busy

    async def _read(self) -> frozenset[str] | None:
        places = {
            (address, each.ports[PAGES_PORT])
            for each in (self._slices() if self._slices else ())
            for address in each.addresses
            if PAGES_PORT in each.ports
        }
        try:
            pages = await asyncio.gather(*(self._scraper.page(ip, port, ACTIVITY_PATH) for ip, port in places))
            return frozenset(name for page in pages for name in json.loads(page))
        except UNREADABLE as error:
            log.warning("A pod of the activator does not say what it holds: %s: %s", type(error).__name__, error)
            return None
