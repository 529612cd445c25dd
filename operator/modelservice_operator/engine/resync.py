"""The periodic complete list: the only cure for events that a watch stream lost.

One pass lists every kind, takes what is newer, sweeps what is gone and asks for a routine look at every parent that
it had to correct. In a healthy cluster a pass corrects nothing, so the number of corrections is the detector of
missed events. Passes on schedule, and those when leadership begins, are followed by a look at everything.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

from modelservice_operator.engine.cache import Cache, Record

log = logging.getLogger(__name__)

SOON = 5.0
"""Seconds without a listed object after which a watch that lists is taken for done with it."""
LATEST = 30.0
"""Seconds after the first listed object at which it is not waited for any longer."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A complete list of one kind as of `version`."""

    kind: str
    records: Sequence[Record]
    version: int


Lister = Callable[[str], Awaitable[Snapshot]]


class ResyncMetrics(Protocol):
    """What a resync reports."""

    def resynced(self, kind: str, corrections: int) -> None:
        """A pass over one kind ended."""


class Resync:
    """Lists the kinds that `kinds()` names, now and then every `interval` seconds (jittered by a tenth)."""

    def __init__(
        self,
        cache: Cache,
        kinds: Callable[[], Sequence[str]],
        lister: Lister,
        on_change: Callable[[Record], None],
        metrics: ResyncMetrics,
        interval: float = 600.0,
    ) -> None:
        self._cache = cache
        self._kinds = kinds
        self._lister = lister
        self._on_change = on_change
        self._metrics = metrics
        self._interval = interval
        self._asked = asyncio.Event()
        self._is_complete = False
        self._listing: tuple[float, float] | None = None

    def ask(self) -> None:
        """Make the next pass start now, and look at everything after it."""
        self._is_complete = True
        self._asked.set()

    def ask_to_list(self) -> None:
        """Make the next pass start now; only what it corrects is looked at."""
        self._asked.set()

    def ask_after_lists(self, quiet: float = SOON, latest: float = LATEST) -> None:
        """Make one pass start, to list, when this has not been called for `quiet` seconds, but `latest` at last."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._listing is None:
            self._listing = now, now
            loop.call_later(quiet, self._after_lists, quiet, latest)
        else:
            self._listing = self._listing[0], now

    def _after_lists(self, quiet: float, latest: float) -> None:
        if self._listing is None:
            return
        loop = asyncio.get_running_loop()
        first, last = self._listing
        due = min(last + quiet, first + latest)
        if loop.time() < due:
            loop.call_at(due, self._after_lists, quiet, latest)
            return
        self._listing = None
        self.ask_to_list()

    async def run(self, on_complete: Callable[[], None]) -> None:
        """Make passes for ever.

        `on_complete` is called after those that everything is to be looked at after. A kind that cannot be listed is
        retried at the next pass.
        """
        while True:
            try:
                async with asyncio.timeout(self._interval * random.uniform(0.9, 1.1)):  # noqa: S311
                    await self._asked.wait()
            except TimeoutError:
                log.debug("Resyncing on schedule")
                self._is_complete = True
            self._asked.clear()
            is_complete, self._is_complete = self._is_complete, False
            for kind in self._kinds():
                try:
                    await self.list_kind(kind)
                except Exception as error:
                    log.warning("Resync of %s failed: %s: %s", kind, type(error).__name__, error)
            if is_complete:
                on_complete()

    async def list_kind(self, kind: str) -> int:
        """List one kind into the cache; return how many records had to be corrected. Raises what the lister raises."""
        snapshot = await self._lister(kind)
        corrected: list[Hashable] = []
        for record in snapshot.records:
            if self._cache.upsert(record):
                corrected.append(record.id)
                self._on_change(record)
        for record in self._cache.sweep(kind, (r.id for r in snapshot.records), snapshot.version):
            corrected.append(record.id)
            self._on_change(record)
        self._metrics.resynced(kind, len(corrected))
        return len(corrected)
