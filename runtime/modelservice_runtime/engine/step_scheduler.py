"""Continuous batching for jobs of many equal steps, as diffusion makes them.

Each step: drop what was cancelled, admit what fits, then one forward pass moves every running job one step ahead. Jobs
join and leave between steps, so a job never waits for the steps of another one that is already under way, and a
cancelled job is gone, with its memory, before the next pass. Jobs need not be at the same step; they need the same
shape, because their tensors are stacked.

Admission is strictly first come, first served. When the oldest waiting job has another shape than the running ones, or
does not fit beside them, nothing overtakes it: the running jobs end, and it is next. That costs some room in the batch
and spares rare shapes from starving.

A finished job's result (a picture's decoding) may take as long as many steps, so it is computed alone, as a step of
its own. The scheduler knows steps and shapes; what is computed is the runner's business.
"""

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from modelservice_runtime.engine.intake import Intake
from modelservice_runtime.engine.queued import QueuedScheduler
from modelservice_runtime.engine.scheduling import Done, Meter, Outbox, Progress, Ticket
from modelservice_runtime.engine.token_scheduler import BatchLimits


@dataclass(frozen=True, slots=True)
class StepsDone:
    """The value of `Progress`: how many steps of how many are done."""

    done: int
    total: int


class StepRunner(Protocol):
    """Runs the jobs; all calls on the torch thread. A state is whatever the runner keeps of a job between steps."""

    def shape(self, item: Any) -> Hashable:
        """Return what jobs must have in common to share a forward pass."""

    def begin(self, item: Any) -> tuple[Any, int]:
        """Return the state of a new job and the number of its steps, at least one."""

    def predict(self, states: Sequence[Any]) -> Sequence[Any]:
        """Run the forward pass of one step for all states, changing none of them."""

    def apply(self, state: Any, prediction: Any) -> None:
        """Move one state a step ahead."""

    def finish(self, state: Any) -> Any:
        """Return the result of a job whose steps are done."""

    def is_fatal(self, error: Exception) -> bool:
        """Tell whether the device is beyond use after this error."""


@dataclass(slots=True, eq=False)
class _Job:
    ticket: Ticket
    shape: Hashable
    state: Any
    total: int
    done: int = 0

    @property
    def complete(self) -> bool:
        return self.done >= self.total


class StepScheduler(QueuedScheduler):
    """Implements `Scheduler` for jobs of many steps."""

    def __init__(self, runner: StepRunner, intake: Intake, outbox: Outbox, meter: Meter, limits: BatchLimits) -> None:
        super().__init__(intake, outbox, meter)
        self._runner = runner
        self._limits = limits
        self._running: list[_Job] = []

    def step(self) -> bool:
        """Admit, then finish one complete job or move all others a step ahead. False when idle."""
        try:
            self._drop_cancelled()
            self._admit()
            complete = next((job for job in self._running if job.complete), None)
            if complete is not None:
                self._finish(complete)
            elif self._running:
                self._advance(self._running)
        finally:
            self._outbox.flush()
        return bool(self._running) or self._intake.size > 0

    # --- joining and leaving ---

    def _drop_cancelled(self) -> None:
        self._sweep()
        for job in [job for job in self._running if job.ticket.cancel_reason is not None]:
            self._running.remove(job)
            self._tell_cancelled(job.ticket)

    def _computed(self) -> Sequence[Ticket]:
        return [job.ticket for job in self._running]

    def _admit(self) -> None:
        """Begin the oldest waiting jobs, as far as they fit beside the running ones."""
        while waiting := self._intake.peek(1):
            ticket = waiting[0]
            shape = self._runner.shape(ticket.item)
            if not self._fits(shape, ticket.cost):
                return
            self._intake.take(waiting)
            self._start(ticket)
            try:
                state, total = self._runner.begin(ticket.item)
            except Exception as error:
                self._tell_failed(ticket, error)
                if self._runner.is_fatal(error):
                    raise
            else:
                self._running.append(_Job(ticket, shape, state, total))

    def _fits(self, shape: Hashable, cost: int) -> bool:
        if not self._running:
            return True
        used = sum(job.ticket.cost for job in self._running)
        room = len(self._running) < self._limits.rows and used + cost <= self._limits.tokens
        return room and shape == self._running[0].shape

    # --- computing ---

    def _advance(self, batch: Sequence[_Job]) -> None:
        """Move jobs a step ahead; when the pass fails, try them one by one so that only the culprit's client is told.

        A pass changes no state, so a job that was part of a failed one loses nothing.
        """
        began = time.monotonic()
        try:
            predictions = self._runner.predict([job.state for job in batch])
        except Exception as error:
            if len(batch) == 1 or self._runner.is_fatal(error):
                self._remove_failed(batch, error)
                return
            for job in list(batch):
                self._advance([job])
            return
        tokens = sum(job.ticket.cost for job in batch)
        self._meter.batch("denoise", len(batch), tokens, tokens)
        for job, prediction in zip(list(batch), predictions, strict=True):
            self._apply(job, prediction)
        self._meter.forward(time.monotonic() - began)

    def _apply(self, job: _Job, prediction: Any) -> None:
        try:
            self._runner.apply(job.state, prediction)
        except Exception as error:
            self._remove_failed([job], error)
            return
        job.done += 1
        self._meter.worked("steps", 1)
        self._outbox.post(job.ticket, Progress(StepsDone(job.done, job.total)))

    def _finish(self, job: _Job) -> None:
        try:
            result = self._runner.finish(job.state)
        except Exception as error:
            self._remove_failed([job], error)
            return
        self._running.remove(job)
        self._outbox.post(job.ticket, Done(result))

    def _remove_failed(self, batch: Sequence[_Job], error: Exception) -> None:
        """Drop jobs and tell their clients. Raises the error when the device is lost."""
        for job in list(batch):
            self._running.remove(job)
            self._tell_failed(job.ticket, error)
        if self._runner.is_fatal(error):
            raise error
