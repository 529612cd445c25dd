"""Zero-wait batching for encoders under a budget of tokens.

Whenever the torch thread is free it takes the oldest item and fills the batch with waiting items of similar length, as
long as the padded size (rows x longest) stays inside the budget. There is no timer: an idle server answers a single
request at once, and a busy one finds its batch already waiting. The oldest item is always taken, so none starves.

A pass costs its padded tokens and a fixed part besides, `BatchLimits.overhead`. Another row pays while it raises the
share of the pass that is spent on real tokens, and adds less padding than the fixed part of a pass of its own. So while
a batch is small, some padding is worth it; later only items of nearly the same length are.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from modelservice_runtime.engine.intake import Intake
from modelservice_runtime.engine.queued import QueuedScheduler
from modelservice_runtime.engine.scheduling import Done, Meter, Outbox, Ticket

LOOK_AHEAD = 256

RunBatch = Callable[[Sequence[Any]], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Bounds on one forward pass: padded tokens, and rows. `overhead` is what a pass costs besides, in tokens."""

    tokens: int
    rows: int
    overhead: int = 32


def choose_batch(costs: Sequence[int], limits: BatchLimits) -> list[int]:
    """Return the indices of the items to run together; index 0, the oldest, is always among them.

    The batch grows from the oldest item to the next shorter or the next longer one, whichever leaves less padding, and
    stops when neither pays or fits. Of items of one length the older are taken first.
    """
    order = range(1, len(costs))
    shorter = deque(sorted((i for i in order if costs[i] < costs[0]), key=lambda i: (-costs[i], i)))
    longer = deque(sorted((i for i in order if costs[i] >= costs[0]), key=lambda i: (costs[i], i)))
    chosen, real, longest = [0], costs[0], costs[0]
    while len(chosen) < limits.rows and (shorter or longer):
        source = max(
            (side for side in (longer, shorter) if side),
            key=lambda side: _real_share(limits, real + costs[side[0]], len(chosen) + 1, max(longest, costs[side[0]])),
        )
        cost = costs[source[0]]
        rows, wider = len(chosen) + 1, max(longest, cost)
        adds = rows * wider - len(chosen) * longest - cost
        grows = _real_share(limits, real + cost, rows, wider) > _real_share(limits, real, len(chosen), longest)
        pays = grows and adds <= limits.overhead
        if not pays or rows * wider > limits.tokens:
            if source is shorter or not shorter:
                break
            longer.clear()  # what is longer still pays and fits less
            continue
        chosen.append(source.popleft())
        real, longest = real + cost, wider
    return chosen


def _real_share(limits: BatchLimits, real: int, rows: int, longest: int) -> float:
    """Return the share of a pass that real tokens take; higher is more work done in the same time."""
    return real / (limits.overhead + rows * longest)


class TokenBudgetScheduler(QueuedScheduler):
    """Implements `Scheduler` for items that one forward pass answers."""

    def __init__(
        self,
        run: RunBatch,
        is_fatal: Callable[[Exception], bool],
        intake: Intake,
        outbox: Outbox,
        meter: Meter,
        limits: BatchLimits,
    ) -> None:
        super().__init__(intake, outbox, meter)
        self._run = run
        self._is_fatal = is_fatal
        self._limits = limits
        self._running: list[Ticket] = []

    def step(self) -> bool:
        """Run one batch. False when nothing waits."""
        self._sweep()
        waiting = self._intake.peek(LOOK_AHEAD)
        if waiting:
            chosen = choose_batch([ticket.cost for ticket in waiting], self._limits)
            self._running = [waiting[index] for index in chosen]
            self._intake.take(self._running)
            try:
                self._begin(self._running)
                self._compute(self._running)
            finally:
                self._running = []
                self._outbox.flush()
        else:
            self._outbox.flush()
        return self._intake.size > 0

    def _begin(self, batch: list[Ticket]) -> None:
        for ticket in batch:
            self._start(ticket)
            self._meter.tokens("prompt", ticket.cost)
        costs = [ticket.cost for ticket in batch]
        self._meter.batch("encode", len(batch), sum(costs), len(batch) * max(costs))

    def _compute(self, batch: list[Ticket]) -> None:
        """Run a batch; when it fails, run its items one by one so that only the culprit's client is told."""
        began = time.monotonic()
        try:
            results = self._run([ticket.item for ticket in batch])
        except Exception as error:
            if self._is_fatal(error):
                self._fail(batch, error)
                raise
            if len(batch) == 1:
                self._fail(batch, error)
                return
            for ticket in batch:
                self._compute([ticket])
            return
        self._meter.forward(time.monotonic() - began)
        for ticket, result in zip(batch, results, strict=True):
            if ticket.cancel_reason is not None:
                self._tell_cancelled(ticket)
            else:
                self._outbox.post(ticket, Done(result))

    def _fail(self, batch: list[Ticket], error: Exception) -> None:
        for ticket in batch:
            self._tell_failed(ticket, error)

    def _computed(self) -> Sequence[Ticket]:
        return self._running
