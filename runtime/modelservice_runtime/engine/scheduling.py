"""What every scheduler offers, and the tickets that its clients hold.

A scheduler runs on the torch thread and knows nothing about tasks or HTTP. Clients live on the event loop: they submit
an item, get a ticket, and read events from it. All that crosses the two threads is here: the bounded intake on the way
in (`intake.py`), and the outbox on the way out, which wakes the event loop once per step, however many rows the step
had.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol

_ids = itertools.count(1)


class QueueFull(Exception):  # noqa: N818 - named for the situation
    """The intake is at one of its bounds; `reason` is `queue_full` or `token_budget`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Draining(Exception):  # noqa: N818 - named for the situation
    """The scheduler takes no new work because the process is about to end."""


class Cancelled(Exception):  # noqa: N818 - named for the situation
    """The work was cancelled; `reason` is `disconnect`, `timeout`, `queue_timeout` or `drain`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"cancelled: {reason}")
        self.reason = reason


class ForwardFailed(Exception):  # noqa: N818 - named for the situation
    """The model raised while computing this item."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """The natural logarithm of a token's probability, and those of the likeliest ones (id, logarithm)."""

    token: int
    logprob: float
    likeliest: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """The value of `Progress`: text that is now certain, and the log-probabilities of the tokens since the last one."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """A part of the result; for decoders a `Piece`."""

    value: Any


@dataclass(frozen=True, slots=True)
class Done:
    """The result, or what is left to say about it after all `Progress`."""

    value: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """The item failed; no event follows."""

    error: Exception


Event = Progress | Done | Failed


@dataclass(frozen=True, slots=True)
class PrefixCounts:
    """Tokens of prompts whose beginnings were looked up in the prefix cache, and those of them that were found."""

    queries: int = 0
    hits: int = 0


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts at one moment; `kv_usage` is the used share of the KV cache's budget, 0 to 1.

    `prefixes` counts since the start; None where beginnings of prompts are not kept.
    """

    running: int = 0
    queued: int = 0
    queued_tokens: int = 0
    kv_usage: float = 0.0
    prefixes: PrefixCounts | None = None


class Ticket:
    """One submitted item. Created by `submit`, read on the event loop, marked by the torch thread.

    `caller` names whose it is, for those who must keep callers apart; an empty name is anybody's. The queue goes by
    `rank`.
    """

    __slots__ = (
        "_events",
        "_take",
        "caller",
        "cancel_reason",
        "cancelled_at",
        "cost",
        "ended_at",
        "first_at",
        "id",
        "item",
        "made",
        "rank",
        "started_at",
        "submitted_at",
    )

    def __init__(self, item: Any, cost: int, caller: str = "") -> None:
        self.id = next(_ids)
        self.item = item
        self.cost = cost
        self.caller = caller
        self.rank = 0
        self.submitted_at = time.monotonic()
        self.started_at: float | None = None
        self.cancel_reason: str | None = None
        self.cancelled_at = 0.0
        self.first_at: float | None = None
        self.ended_at: float | None = None
        self.made = 0
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._take: Callable[[Event], None] = self._events.put_nowait

    def deliver(self, event: Event) -> None:
        """Hand over an event; called on the event loop by the outbox."""
        now = time.monotonic()
        if isinstance(event, Progress):
            self.first_at = self.first_at or now
        else:
            self.ended_at = now
            self.made = len(getattr(event.value, "tokens", ())) if isinstance(event, Done) else 0
        self._take(event)

    def redirect(self, take: Callable[[Event], None]) -> None:
        """Give all events to `take`, those that have come already first; `events` then yields nothing more."""
        self._take = take
        while not self._events.empty():
            take(self._events.get_nowait())

    async def events(self) -> AsyncIterator[Any]:
        """Yield the values of all `Progress` and, last, of `Done`. Raises the error of `Failed`."""
        while True:
            event = await self._events.get()
            if isinstance(event, Failed):
                raise event.error
            yield event.value
            if isinstance(event, Done):
                return

    async def result(self) -> Any:
        """Wait for `Done` and return its value, dropping progress. Raises the error of `Failed`."""
        values = [value async for value in self.events()]
        return values[-1]


class Scheduler(Protocol):
    """The small interface that all schedulers share. All but `step` may be called from any thread."""

    def check_room(self) -> None:
        """Raise QueueFull or Draining when nothing more is taken, before an item is prepared for nothing."""

    def submit(self, item: Any, cost: int, caller: str = "", turn: int = 0) -> Ticket:
        """Queue an item of `cost` tokens, the one at `turn` of its request. Raises QueueFull or Draining."""

    def cancel(self, ticket: Ticket, reason: str) -> None:
        """Drop the item within one step, wherever it is; its ticket fails with `Cancelled(reason)`."""

    def stats(self) -> Stats:
        """Return the counts of this moment."""

    async def drain(self, seconds: float) -> bool:
        """Take no new work and wait for the accepted. False when time ran out and the rest was cancelled."""

    def step(self) -> bool:
        """Do one unit of work on the torch thread; False when there is nothing to do."""


class Meter(Protocol):
    """Where schedulers report what they measure; seconds and token counts."""

    def waited(self, seconds: float) -> None:
        """An item left the queue."""

    def first_token(self, seconds: float) -> None:
        """A decoder made its first token so long after the submission."""

    def next_token(self, seconds: float) -> None:
        """A decoder made a further token so long after the one before."""

    def batch(self, phase: str, rows: int, tokens: int, padded: int) -> None:
        """A forward pass ran over `rows` sequences with `tokens` real of `padded` tokens."""

    def tokens(self, direction: str, count: int) -> None:
        """Tokens were consumed (`prompt`; of those, found: `prompt_cached`) or made (`completion`)."""

    def forward(self, seconds: float) -> None:
        """A forward pass took so long."""

    def worked(self, unit: str, count: float) -> None:
        """Work was done that tokens do not measure: `steps` of diffusion, `images`, `audio_seconds`."""

    def sampled(self, seconds: float) -> None:
        """Choosing the tokens of a step took so long."""

    def cancelled(self, reason: str, latency: float) -> None:
        """A cancellation took effect so long after it was asked for."""


class Outbox:
    """Collects the events of a step and hands them to the event loop in one call."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pending: list[tuple[Ticket, Event]] = []

    def post(self, ticket: Ticket, event: Event) -> None:
        """Keep an event until `flush`; torch thread only."""
        self._pending.append((ticket, event))

    def flush(self) -> None:
        """Deliver what was posted; torch thread only."""
        if not self._pending:
            return
        batch, self._pending = self._pending, []
        self._loop.call_soon_threadsafe(_deliver, batch)


def _deliver(batch: list[tuple[Ticket, Event]]) -> None:
    for ticket, event in batch:
        ticket.deliver(event)
