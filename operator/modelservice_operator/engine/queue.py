"""A deduplicating work queue of keys.

The contract, the same as client-go's workqueue with priorities:

* A key waits at most once, however often it is added; adding it with a higher priority moves it forward.
* A key that is added while it is being worked on is dirty: it waits again as soon as `done` is called, so no event is
  lost and one key is never in two workers.
* `retry` adds after an exponential backoff of the key; `forget` resets it.
* Two priorities. What a user or a cluster changed goes before what was never seen or is merely checked again, so that
  a model becoming ready is told before a hundred new ones are looked at. Every ninth take serves the low priority
  first when one waits, so that it cannot starve.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable, Hashable
from enum import IntEnum
from typing import Generic, Protocol, TypeVar

from modelservice_operator.engine.backoff import Backoff

K = TypeVar("K", bound=Hashable)

HIGH_IN_A_ROW = 8


class Priority(IntEnum):
    """Lower is served first."""

    CHANGE = 0
    ROUTINE = 1


class QueueMetrics(Protocol):
    """What the queue reports; every method is cheap and never raises."""

    def added(self) -> None:
        """A key was added."""

    def waited(self, seconds: float) -> None:
        """A key left the queue after waiting this long."""

    def retried(self) -> None:
        """A key was put back after a failure."""

    def depth(self, waiting: int) -> None:
        """This many keys are ready and waiting."""


class Unmeasured:
    """Metrics that nobody reads."""

    def added(self) -> None:
        """Ignore."""

    def waited(self, seconds: float) -> None:
        """Ignore."""

    def retried(self) -> None:
        """Ignore."""

    def depth(self, waiting: int) -> None:
        """Ignore."""


class WorkQueue(Generic[K]):
    """See the module. Synchronous but for `get`; lives on one event loop."""

    def __init__(
        self,
        backoff: Backoff | None = None,
        metrics: QueueMetrics | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backoff = backoff or Backoff()
        self._metrics = metrics or Unmeasured()
        self._clock = clock
        self._ready: tuple[dict[K, float], dict[K, float]] = ({}, {})
        self._running: set[K] = set()
        self._dirty: dict[K, Priority] = {}
        self._failures: dict[K, int] = {}
        self._later: list[tuple[float, int, K, Priority]] = []
        self._due: dict[K, float] = {}
        self._sequence = itertools.count()
        self._high_in_a_row = 0
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready[Priority.CHANGE]) + len(self._ready[Priority.ROUTINE])

    @property
    def running(self) -> frozenset[K]:
        """The keys that are being worked on."""
        return frozenset(self._running)

    def add(self, key: K, priority: Priority = Priority.CHANGE) -> None:
        """Ask for work on `key` as soon as a worker is free."""
        self._metrics.added()
        if key in self._running:
            self._dirty[key] = min(priority, self._dirty.get(key, priority))
            return
        if priority is Priority.CHANGE:
            since = self._ready[Priority.ROUTINE].pop(key, None)
            self._ready[Priority.CHANGE].setdefault(key, self._clock() if since is None else since)
        elif key not in self._ready[Priority.CHANGE]:
            self._ready[Priority.ROUTINE].setdefault(key, self._clock())
        self._metrics.depth(len(self))
        self._wake.set()

    def add_after(self, key: K, seconds: float, priority: Priority = Priority.CHANGE) -> None:
        """Ask for work on `key` in `seconds`; of several delays that are pending for a key, the earliest counts."""
        if seconds <= 0:
            self.add(key, priority)
            return
        due = self._clock() + seconds
        if self._due.get(key, float("inf")) <= due:
            return
        self._due[key] = due
        heapq.heappush(self._later, (due, next(self._sequence), key, priority))
        self._wake.set()

    def retry(self, key: K, at_least: float = 0.0) -> float:
        """Put `key` back after its backoff, but not before `at_least` seconds; return the delay in seconds."""
        self._metrics.retried()
        self._failures[key] = self._failures.get(key, 0) + 1
        delay = max(at_least, self._backoff.delay(self._failures[key]))
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """The key succeeded: its next failure starts the backoff anew."""
        self._failures.pop(key, None)

    def done(self, key: K) -> None:
        """A worker is finished with `key`; must be called once for every key taken."""
        self._running.discard(key)
        priority = self._dirty.pop(key, None)
        if priority is not None:
            self.add(key, priority)

    def take(self) -> K | None:
        """Take the next ready key without waiting, or None."""
        self._promote_due()
        priority = self._choose()
        if priority is None:
            return None
        ready = self._ready[priority]
        key = next(iter(ready))
        since = ready.pop(key)
        self._running.add(key)
        self._metrics.waited(self._clock() - since)
        self._metrics.depth(len(self))
        return key

    async def get(self) -> K:
        """Take the next key, waiting for one."""
        while True:
            key = self.take()
            if key is not None:
                return key
            self._wake.clear()
            try:
                async with asyncio.timeout(self._until_due()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _choose(self) -> Priority | None:
        high, low = self._ready
        if high and (not low or self._high_in_a_row < HIGH_IN_A_ROW):
            self._high_in_a_row += 1
            return Priority.CHANGE
        self._high_in_a_row = 0
        return Priority.ROUTINE if low else None

    def _promote_due(self) -> None:
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            due, _, key, priority = heapq.heappop(self._later)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key, priority)

    def _until_due(self) -> float | None:
        return max(0.0, self._later[0][0] - self._clock()) if self._later else None
