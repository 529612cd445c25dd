"""A scheduler over an engine that batches by itself: it admits, routes tokens to clients, and drops what is over.

What shares a step, and who is evicted when the cache is full, is the engine's affair. Stop strings, cancellation and
the bounds on what may wait are here, as in the slot scheduler, so clients see no difference.
"""

import time
from collections.abc import Sequence as Seq
from dataclasses import replace
from typing import Protocol

from modelservice_runtime.engine.answers import Answers
from modelservice_runtime.engine.generation import Generation, Sequence
from modelservice_runtime.engine.intake import Intake
from modelservice_runtime.engine.queued import QueuedScheduler
from modelservice_runtime.engine.scheduling import Meter, Outbox, Stats, Ticket


class BatchingRunner(Protocol):
    """An engine that holds requests by a key; all calls on the torch thread."""

    max_length: int

    def add(self, key: str, request: Generation) -> None:
        """Take in a request."""

    def drop(self, key: str) -> None:
        """Free what a request holds."""

    def step(self) -> None:
        """Compute one batch."""

    def fresh_tokens(self, key: str, known: int) -> Seq[int]:
        """Return the tokens of a request beyond the first `known` of prompt and answer."""

    def forget_finished(self) -> None:
        """Let go of what is over."""

    def clear(self) -> None:
        """Drop everything, after a step that failed."""

    def usage(self, used_tokens: int) -> float:
        """Return the used share of the cache's budget, 0 to 1."""

    def is_fatal(self, error: Exception) -> bool:
        """Tell whether the device is beyond use after this error."""


class PagedScheduler(QueuedScheduler):
    """Implements `Scheduler` for `Generation` items; `most` of them run at the same time."""

    def __init__(self, runner: BatchingRunner, intake: Intake, outbox: Outbox, meter: Meter, most: int) -> None:
        super().__init__(intake, outbox, meter)
        self._runner = runner
        self._answers = Answers(outbox, meter, runner.max_length)
        self._most = most
        self._running: dict[str, Sequence] = {}

    def stats(self) -> Stats:
        """Return the counts of this moment, and how much of the cache is used."""
        used = sum(len(sequence.tokens) for sequence in list(self._running.values()))
        return replace(super().stats(), kv_usage=self._runner.usage(used))

    def step(self) -> bool:
        """Drop, admit, compute, route. False when idle."""
        try:
            self._drop_cancelled()
            self._admit()
            if self._running:
                self._compute()
        except Exception as error:
            self._fail_running(error)
            if self._runner.is_fatal(error):
                raise
        finally:
            self._outbox.flush()
        return bool(self._running or self._intake.size)

    def _computed(self) -> Seq[Ticket]:
        return [sequence.ticket for sequence in list(self._running.values())]

    def _drop_cancelled(self) -> None:
        self._sweep()
        for key, sequence in list(self._running.items()):
            if sequence.ticket.cancel_reason is not None:
                self._remove(key)
                self._tell_cancelled(sequence.ticket)

    def _admit(self) -> None:
        for ticket in self._intake.peek(self._most - len(self._running)):
            self._intake.take([ticket])
            self._start(ticket)
            self._meter.tokens("prompt", len(ticket.item.prompt))
            key = str(ticket.id)
            self._running[key] = Sequence.of(ticket)
            self._runner.add(key, ticket.item)

    def _compute(self) -> None:
        began = time.monotonic()
        self._runner.step()
        self._meter.forward(time.monotonic() - began)
        made = {
            key: tokens
            for key, sequence in self._running.items()
            if (tokens := self._runner.fresh_tokens(key, len(sequence.tokens)))
        }
        self._runner.forget_finished()
        if made:
            self._meter.batch("decode", len(made), len(made), len(made))
        for key, tokens in made.items():
            self._route(key, tokens)

    def _route(self, key: str, tokens: Seq[int]) -> None:
        sequence = self._running[key]
        for token in tokens:
            if reason := self._answers.add(sequence, token, None):
                self._remove(key)
                self._answers.complete(sequence, reason)
                return

    def _remove(self, key: str) -> None:
        del self._running[key]
        self._runner.drop(key)

    def _fail_running(self, error: Exception) -> None:
        for sequence in self._running.values():
            self._tell_failed(sequence.ticket, error, "batch")
        self._running.clear()
        self._runner.clear()
