"""The half that all schedulers share: a bounded queue in front, and what clients are told who get no result.

What is computed, and how, is the other half's. It names the tickets that it works on; this half counts them and cancels
them when a drain has no time left.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from modelservice_runtime.engine.intake import Intake
from modelservice_runtime.engine.scheduling import Cancelled, Failed, ForwardFailed, Meter, Outbox, Stats, Ticket

POLL_SECONDS = 0.02


class QueuedScheduler(ABC):
    """Implements `Scheduler` but for `step`."""

    def __init__(self, intake: Intake, outbox: Outbox, meter: Meter) -> None:
        self._intake = intake
        self._outbox = outbox
        self._meter = meter

    @abstractmethod
    def _computed(self) -> Sequence[Ticket]:
        """Return the tickets that are being computed; any thread."""

    def check_room(self) -> None:
        """Raise QueueFull or Draining when nothing more is taken."""
        self._intake.check_room()

    def submit(self, item: Any, cost: int, caller: str = "", turn: int = 0) -> Ticket:
        """Queue an item of `cost` tokens. Raises QueueFull or Draining."""
        return self._intake.submit(item, cost, caller, turn)

    def cancel(self, ticket: Ticket, reason: str) -> None:
        """Drop an item within one step; what is in the middle of a step is answered to nobody."""
        self._intake.cancel(ticket, reason)

    def stats(self) -> Stats:
        """Return the counts of this moment."""
        return Stats(len(self._computed()), self._intake.size, self._intake.tokens)

    async def drain(self, seconds: float) -> bool:
        """Finish the accepted items within `seconds`; after that cancel what is left and return False."""
        self._intake.close()
        deadline = time.monotonic() + seconds
        while self._intake.size or self._computed():
            if time.monotonic() >= deadline:
                for ticket in [*self._intake.everything(), *self._computed()]:
                    self._intake.cancel(ticket, "drain")
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True

    def _start(self, ticket: Ticket) -> None:
        """Note that a ticket is computed from now on."""
        ticket.started_at = time.monotonic()
        self._meter.waited(ticket.started_at - ticket.submitted_at)

    def _sweep(self) -> Iterable[Ticket]:
        """Drop what was cancelled while it waited, tell its clients, and return it."""
        dropped = list(self._intake.sweep()) if self._intake.size else []
        for ticket in dropped:
            self._tell_cancelled(ticket)
        return dropped

    def _tell_cancelled(self, ticket: Ticket) -> None:
        reason = ticket.cancel_reason or ""
        self._meter.cancelled(reason, time.monotonic() - ticket.cancelled_at)
        self._outbox.post(ticket, Failed(Cancelled(reason)))

    def _tell_failed(self, ticket: Ticket, error: Exception, what: str = "input") -> None:
        failure = ForwardFailed(f"the model failed on this {what}: {type(error).__name__}")
        failure.__cause__ = error
        self._outbox.post(ticket, Failed(failure))
