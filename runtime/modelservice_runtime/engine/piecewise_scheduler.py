"""Work that is done in pieces, one item after the other.

An item is started as a generator. Each step of the torch thread runs it to its next `yield`, so a long computation
leaves room for others between its pieces and is dropped within one piece when it is cancelled. What the generator
returns is the item's result.
"""

import time
from collections.abc import Callable, Generator, Sequence
from typing import Any

from modelservice_runtime.engine.intake import Intake
from modelservice_runtime.engine.queued import QueuedScheduler
from modelservice_runtime.engine.scheduling import Done, Meter, Outbox, Ticket

Work = Generator[None, None, Any]


class PiecewiseScheduler(QueuedScheduler):
    """Implements `Scheduler` for items that `begin` turns into generators."""

    def __init__(
        self,
        begin: Callable[[Any], Work],
        is_fatal: Callable[[Exception], bool],
        intake: Intake,
        outbox: Outbox,
        meter: Meter,
    ) -> None:
        super().__init__(intake, outbox, meter)
        self._begin = begin
        self._is_fatal = is_fatal
        self._running: tuple[Ticket, Work] | None = None

    def step(self) -> bool:
        """Compute one piece of the oldest item. False when nothing waits."""
        self._sweep()
        running = self._running or self._next()
        if running is not None:
            self._advance(*running)
        self._outbox.flush()
        return self._running is not None or self._intake.size > 0

    def _computed(self) -> Sequence[Ticket]:
        running = self._running
        return [running[0]] if running else []

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
            self._tell_cancelled(ticket)
            self._running = None
            return
        try:
            next(work)
        except StopIteration as end:
            self._outbox.post(ticket, Done(end.value))
            self._running = None
        except Exception as error:
            self._tell_failed(ticket, error)
            self._running = None
            if self._is_fatal(error):
                self._outbox.flush()
                raise
