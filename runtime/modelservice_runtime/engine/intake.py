"""The bounded queue in front of a scheduler.

It is first come, first served by requests, not by their items: the items of a large request take turns with whoever
comes after it. An item is overtaken by as many later requests as there are items before it in its own, and no more.

Two budgets, requests and tokens: a queue bounded in requests alone accepts a handful of enormous prompts that no
client will wait for. When a budget is spent the caller is told at once, so that a balancer can try another replica.
"""

import threading
import time
from bisect import insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from modelservice_runtime.engine.scheduling import Draining, QueueFull, Ticket


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Bounds on what may wait: items, their tokens, and the seconds until an item gives up."""

    requests: int
    tokens: int
    seconds: float


class Intake:
    """A queue of tickets, in the order of their ranks, with budgets; safe to use from any thread."""

    def __init__(self, limits: QueueLimits, wake: Callable[[], None]) -> None:
        self._limits = limits
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: list[Ticket] = []
        self._requests = 0
        self._tokens = 0
        self._closed = False

    def check_room(self) -> None:
        """Raise QueueFull or Draining when not even the smallest item would be taken."""
        with self._lock:
            self._check_room(1)

    def submit(self, item: Any, cost: int, caller: str = "", turn: int = 0) -> Ticket:
        """Add an item, the one at `turn` of its request. Raises QueueFull or Draining."""
        with self._lock:
            self._check_room(cost)
            self._requests += turn == 0
            ticket = Ticket(item, cost, caller)
            ticket.rank = self._requests + turn
            insort(self._waiting, ticket, key=_rank)
            self._tokens += cost
        self._wake()
        return ticket

    def _check_room(self, cost: int) -> None:
        if self._closed:
            raise Draining("the server is shutting down and takes no new requests")
        if len(self._waiting) >= self._limits.requests:
            raise QueueFull("queue_full", f"{self._limits.requests} requests are already waiting")
        if self._waiting and self._tokens + cost > self._limits.tokens:
            raise QueueFull("token_budget", f"requests of {self._tokens} tokens are already waiting")

    def cancel(self, ticket: Ticket, reason: str) -> None:
        """Mark a ticket; whoever holds it drops it in the next step."""
        if ticket.cancel_reason is None:
            ticket.cancelled_at = time.monotonic()
            ticket.cancel_reason = reason
        self._wake()

    def put_back(self, ticket: Ticket) -> None:
        """Put a preempted ticket at the head of the queue, past the budgets."""
        with self._lock:
            ticket.rank = min([ticket.rank, *(each.rank - 1 for each in self._waiting[:1])])
            self._waiting.insert(0, ticket)
            self._tokens += ticket.cost

    def peek(self, count: int) -> list[Ticket]:
        """Return the first tickets without taking them."""
        with self._lock:
            return self._waiting[:count]

    def take(self, tickets: list[Ticket]) -> None:
        """Remove tickets that `peek` returned."""
        chosen = {ticket.id for ticket in tickets}
        with self._lock:
            self._waiting = [ticket for ticket in self._waiting if ticket.id not in chosen]
            self._tokens = sum(ticket.cost for ticket in self._waiting)

    def sweep(self) -> Iterator[Ticket]:
        """Remove and yield the cancelled tickets, and those that waited too long, marked as such."""
        oldest = time.monotonic() - self._limits.seconds
        for ticket in self.peek(len(self._waiting)):
            if ticket.cancel_reason is None and ticket.started_at is None and ticket.submitted_at < oldest:
                self.cancel(ticket, "queue_timeout")
            if ticket.cancel_reason is not None:
                self.take([ticket])
                yield ticket

    def close(self) -> None:
        """Refuse all further submissions."""
        with self._lock:
            self._closed = True

    def everything(self) -> list[Ticket]:
        """Return all waiting tickets."""
        return self.peek(len(self._waiting))

    @property
    def size(self) -> int:
        """Number of waiting tickets."""
        return len(self._waiting)

    @property
    def tokens(self) -> int:
        """Sum of the costs of the waiting tickets."""
        return self._tokens


def _rank(ticket: Ticket) -> int:
    return ticket.rank
