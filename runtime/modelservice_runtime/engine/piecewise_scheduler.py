"""Work that is done in pieces, one item after the other.

An item is started as a generator. Each step of the torch thread runs it to its next `yield`, so a long computation
leaves room for others between its pieces and is dropped within one piece when it is cancelled. What the generator
returns is the item's result.
"""

import time
from collections.abc import Callable, Generator
from typing import Any

from modelservice_runtime.engine.intake import Intake, drain_intake
from modelservice_runtime.engine.scheduling import (
    Cancelled,
    Done,
    Failed,
    ForwardFailed,
    Meter,
    Outbox,
    Stats,
    Ticket,
)

Work = Generator[None, None, Any]


class PiecewiseScheduler:
    """Implements `Scheduler` for items that `begin` turns into generators."""

    def __init__(
        self,
        begin: Callable[[Any], Work],
        is_fatal: Callable[[Exception], bool],
        intake: Intake,
        outbox: Outbox,
        meter: Meter,
    ) -> None:
        self._begin = begin
        self._is_fatal = is_fatal
        self._intake = intake
        self._outbox = outbox
        self._meter = meter
        self._running: tuple[Ticket, Work] | None = None

    def submit(self, item: Any, cost: int) -> Ticket:
        """Queue an item. Raises QueueFull or Draining."""
        return self._intake.submit(item, cost)

    def cancel(self, ticket: Ticket, reason: str) -> None:
        """Drop an item before its next piece."""
        self._intake.cancel(ticket, reason)

    def stats(self) -> Stats:
        """Return the counts of this moment."""
        return Stats(int(self._running is not None), self._intake.size, self._intake.tokens)

    async def drain(self, seconds: float) -> bool:
        """Finish the accepted items within `seconds`, or cancel them."""
        return await drain_intake(self._intake, self._count, self._tickets, seconds)

    def step(self) -> bool:
        """Compute one piece of the oldest item. False when nothing waits."""
        for ticket in self._intake.sweep():
            self._report_cancelled(ticket)
        running = self._running or self._next()
        if running is not None:
            self._advance(*running)
        self._outbox.flush()
        return self._count() > 0

    def _count(self) -> int:
        return int(self._running is not None) + self._intake.size

    def _tickets(self) -> list[Ticket]:
        return [self._running[0]] if self._running else []

    def _next(self) -> tuple[Ticket, Work] | None:
        oldest = self._intake.peek(1)
        if not oldest:
            return None
        (ticket,) = oldest
        ticket.started_at = time.monotonic()
        self._running = ticket, self._begin(ticket.item)
        self._intake.take(oldest)
        return self._running

    def _advance(self, ticket: Ticket, work: Work) -> None:
        if ticket.cancel_reason is not None:
            work.close()
            self._report_cancelled(ticket)
            self._running = None
            return
        try:
            next(work)
        except StopIteration as end:
            self._outbox.post(ticket, Done(end.value))
            self._running = None
        except Exception as error:
            failure = ForwardFailed(f"the model failed on this input: {type(error).__name__}")
            failure.__cause__ = error
            self._outbox.post(ticket, Failed(failure))
            self._running = None
            if self._is_fatal(error):
                self._outbox.flush()
                raise

    def _report_cancelled(self, ticket: Ticket) -> None:
        reason = ticket.cancel_reason or ""
        self._meter.cancelled(reason, time.monotonic() - ticket.cancelled_at)
        self._outbox.post(ticket, Failed(Cancelled(reason)))
