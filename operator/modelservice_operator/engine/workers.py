"""Async workers that take keys from the queue while the gate is open.

The queue guarantees that one key is never in two workers. Each call of the handler runs in a task of its own, so that
it can be cancelled without ending the worker: leadership that is lost interrupts what is in flight, and a handler
that never returns ends at its deadline. Whatever a handler raises becomes a retry of that key alone.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from modelservice_operator.engine.gate import Gate
from modelservice_operator.engine.queue import WorkQueue

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a handler reached: a word for the metrics, and when to look at the key again without any event.

    With `retry` the key goes through its backoff, but not before `after` seconds; without, it is looked at in `after`
    seconds.
    """

    result: str
    after: float | None = None
    retry: bool = False


class WorkerMetrics(Protocol):
    """What the workers report."""

    def finished(self, result: str, seconds: float) -> None:
        """A handler call ended."""

    def running(self, count: int) -> None:
        """This many handler calls are in flight."""


Handler = Callable[[K], Awaitable[Outcome]]


class Workers(Generic[K]):
    """`count` workers over one queue; `deadline` is the longest that one handler call may take, in seconds."""

    def __init__(
        self,
        queue: WorkQueue[K],
        handler: Handler[K],
        gate: Gate,
        metrics: WorkerMetrics,
        count: int = 16,
        deadline: float = 60.0,
    ) -> None:
        self._queue = queue
        self._handler = handler
        self._gate = gate
        self._metrics = metrics
        self._count = count
        self._deadline = deadline
        self._in_flight: dict[asyncio.Task[Outcome], float] = {}

    async def run(self) -> None:
        """Work for ever; ends only by cancellation."""
        async with asyncio.TaskGroup() as group:
            for index in range(self._count):
                group.create_task(self._work(), name=f"worker-{index}")

    def oldest(self) -> float:
        """Seconds that the longest running handler call has taken so far; 0 when none runs."""
        return max((time.monotonic() - started for started in self._in_flight.values()), default=0.0)

    def interrupt(self) -> None:
        """Cancel every handler call in flight; their keys wait in the queue again."""
        for task in self._in_flight:
            task.cancel()

    async def drain(self, seconds: float) -> bool:
        """Wait for the calls in flight, at most `seconds`, then interrupt the rest.

        Return whether all ended by themselves.
        """
        if self._in_flight:
            await asyncio.wait(list(self._in_flight), timeout=seconds)
        left = list(self._in_flight)
        self.interrupt()
        if left:
            await asyncio.wait(left, timeout=1.0)
        return not left

    async def _work(self) -> None:
        while True:
            await self._gate.wait()
            key = await self._queue.get()
            try:
                if self._gate.is_open:
                    await self._process(key)
                else:
                    self._queue.add(key)
            finally:
                self._queue.done(key)

    async def _process(self, key: K) -> None:
        started = time.monotonic()
        task = asyncio.ensure_future(self._call(key))
        self._in_flight[task] = started
        self._metrics.running(len(self._in_flight))
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
            del self._in_flight[task]
            self._metrics.running(len(self._in_flight))
        result = self._settle(key, task)
        self._metrics.finished(result, time.monotonic() - started)

    async def _call(self, key: K) -> Outcome:
        async with asyncio.timeout(self._deadline):
            return await self._handler(key)

    def _settle(self, key: K, task: "asyncio.Task[Outcome]") -> str:
        if task.cancelled():
            self._queue.add(key)
            return "Interrupted"
        error = task.exception()
        if error is not None:
            delay = self._queue.retry(key)
            log.error("Reconciling %s failed; next attempt in %.1f s", key, delay, exc_info=error)
            return "Error"
        outcome = task.result()
        if outcome.retry:
            self._queue.retry(key, at_least=outcome.after or 0.0)
        else:
            self._queue.forget(key)
            if outcome.after is not None:
                self._queue.add_after(key, outcome.after)
        return outcome.result
