"""What one request did in the engine: the items that it queued, found again when its answer is complete.

The guard opens a journey, whoever queues items notes them, wherever that is in the same task of the event loop. Metrics
and traces read the times and counts from the tickets afterwards, so that nothing is measured twice or on the way.
"""

import time
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from modelservice_runtime.engine.scheduling import Ticket


@dataclass(slots=True)
class Journey:
    """The tickets of one request, and the name of the API key that it came with; times are of the monotonic clock."""

    began_at: float = field(default_factory=time.monotonic)
    tickets: list[Ticket] = field(default_factory=list)
    caller: str = ""

    @property
    def prompt_tokens(self) -> int:
        """Tokens that the request brought along; several answers to one prompt count it each time."""
        return sum(int(getattr(ticket.item, "prompt_tokens", ticket.cost)) for ticket in self.tickets)

    @property
    def completion_tokens(self) -> int:
        """Tokens that were made for it."""
        return sum(ticket.made for ticket in self.tickets)


_current: ContextVar[Journey | None] = ContextVar("journey", default=None)


def begin_journey() -> Journey:
    """Open the journey of the request that this task of the event loop serves."""
    journey = Journey()
    _current.set(journey)
    return journey


def current_caller() -> str:
    """Return the name of the API key that the request came with, an empty one without."""
    journey = _current.get()
    return journey.caller if journey else ""


def note_tickets(tickets: Sequence[Ticket]) -> None:
    """Add what was queued to the journey, if there is one."""
    journey = _current.get()
    if journey is not None:
        journey.tickets.extend(tickets)
