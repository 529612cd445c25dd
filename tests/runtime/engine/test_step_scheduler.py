import gc
import weakref
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from modelservice_runtime.engine.intake import Intake, QueueLimits
from modelservice_runtime.engine.scheduling import Cancelled, Draining, Failed, ForwardFailed, Outbox, Progress, Ticket
from modelservice_runtime.engine.step_scheduler import StepScheduler, StepsDone
from modelservice_runtime.engine.token_scheduler import BatchLimits
from tests.runtime.engine.doubles import ImmediateLoop, RememberingMeter

COST = 10
LIMITS = BatchLimits(40, 8)


@dataclass(frozen=True)
class Work:
    """A job: its name, its shape, and its number of steps."""

    name: str
    shape: str = "square"
    steps: int = 3


@dataclass(eq=False)
class Counting:
    """The state of a job: how often it was moved ahead."""

    work: Work
    moved: int = 0


class CountingRunner:
    """Predicts the number of the step that a job is at, and checks on applying that nothing happened in between."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.states: list[Callable[[], Counting | None]] = []
        self.refuse: Callable[[str, Sequence[str]], Exception | None] = lambda phase, names: None

    def shape(self, item: Work) -> Hashable:
        return item.shape

    def begin(self, item: Work) -> tuple[Counting, int]:
        self._raise("begin", [item.name])
        state = Counting(item)
        self.states.append(weakref.ref(state))
        return state, item.steps

    def predict(self, states: Sequence[Counting]) -> list[int]:
        names = [state.work.name for state in states]
        assert len({state.work.shape for state in states}) == 1
        self._raise("predict", names)
        self.batches.append(names)
        return [state.moved for state in states]

    def apply(self, state: Counting, prediction: int) -> None:
        self._raise("apply", [state.work.name])
        assert prediction == state.moved
        state.moved += 1

    def finish(self, state: Counting) -> str:
        self._raise("finish", [state.work.name])
        assert state.moved == state.work.steps
        return f"{state.work.name} done"

    def is_fatal(self, error: Exception) -> bool:
        return isinstance(error, MemoryError)

    def _raise(self, phase: str, names: Sequence[str]) -> None:
        error = self.refuse(phase, names)
        if error is not None:
            raise error


@dataclass
class Bench:
    """A scheduler with its doubles."""

    runner: CountingRunner
    meter: RememberingMeter
    intake: Intake
    scheduler: StepScheduler

    def submit(self, *works: Work) -> list[Ticket]:
        return [self.scheduler.submit(work, COST) for work in works]

    def finish(self) -> None:
        while self.scheduler.step():
            pass


@pytest.fixture
def bench() -> Bench:
    runner, meter = CountingRunner(), RememberingMeter()
    intake = Intake(QueueLimits(100, 10_000, 60), lambda: None)
    outbox = Outbox(ImmediateLoop())  # type: ignore[arg-type]
    return Bench(runner, meter, intake, StepScheduler(runner, intake, outbox, meter, LIMITS))


def events(ticket: Ticket) -> list[Any]:
    found = []
    while not ticket._events.empty():
        event = ticket._events.get_nowait()
        found.append(event if isinstance(event, Failed) else event.value)
    return found


def failure(ticket: Ticket) -> Exception:
    last = events(ticket)[-1]
    assert isinstance(last, Failed)
    return last.error


def test_progress_of_every_step_goes_out_when_a_job_runs(bench: Bench) -> None:
    (ticket,) = bench.submit(Work("a"))
    bench.scheduler.step()
    first = ticket._events.get_nowait()
    assert isinstance(first, Progress)
    assert first.value == StepsDone(1, 3)
    bench.finish()
    assert events(ticket) == [StepsDone(2, 3), StepsDone(3, 3), "a done"]
    assert bench.scheduler.stats().running == 0


def test_jobs_share_their_passes_when_their_shape_is_equal(bench: Bench) -> None:
    tickets = bench.submit(Work("a"), Work("b"))
    bench.finish()
    assert bench.runner.batches == [["a", "b"]] * 3
    assert [events(ticket)[-1] for ticket in tickets] == ["a done", "b done"]
    assert len(bench.meter.of("worked")) == 6
    assert bench.meter.of("batch") == [("denoise", 2, 20, 20)] * 3


def test_job_joins_running_ones_when_it_comes_later_and_has_other_steps(bench: Bench) -> None:
    (first,) = bench.submit(Work("a", steps=4))
    bench.scheduler.step()
    (second,) = bench.submit(Work("b", steps=2))
    bench.finish()
    assert bench.runner.batches == [["a"], ["a", "b"], ["a", "b"], ["a"]]
    assert (events(first)[-1], events(second)[-1]) == ("a done", "b done")


def test_nothing_overtakes_the_oldest_job_when_its_shape_is_another(bench: Bench) -> None:
    bench.submit(Work("a"), Work("wide", shape="wide"), Work("c"))
    bench.finish()
    assert bench.runner.batches == [["a"]] * 3 + [["wide"]] * 3 + [["c"]] * 3


def test_batch_is_bounded_when_jobs_are_large(bench: Bench) -> None:
    bench.submit(*(Work(str(index), steps=1) for index in range(6)))
    bench.finish()
    assert [len(batch) for batch in bench.runner.batches] == [4, 2]


def test_job_runs_alone_when_it_is_larger_than_the_budget(bench: Bench) -> None:
    ticket = bench.scheduler.submit(Work("huge"), 1000)
    bench.submit(Work("a"))
    bench.finish()
    assert bench.runner.batches == [["huge"]] * 3 + [["a"]] * 3
    assert events(ticket)[-1] == "huge done"


def test_job_is_gone_with_its_memory_within_one_step_when_it_is_cancelled(bench: Bench) -> None:
    dropped, kept = bench.submit(Work("dropped", steps=50), Work("kept"))
    bench.scheduler.step()
    bench.scheduler.cancel(dropped, "disconnect")
    bench.scheduler.step()
    error = failure(dropped)
    assert isinstance(error, Cancelled)
    assert error.reason == "disconnect"
    gc.collect()
    assert bench.runner.states[0]() is None
    bench.finish()
    assert bench.runner.batches == [["dropped", "kept"], ["kept"], ["kept"]]
    assert events(kept)[-1] == "kept done"
    assert [reason for reason, _ in bench.meter.of("cancelled")] == ["disconnect"]


def test_job_is_never_begun_when_it_is_cancelled_while_it_waits(bench: Bench) -> None:
    _, waiting = bench.submit(Work("a"), Work("wide", shape="wide"))
    bench.scheduler.step()
    bench.scheduler.cancel(waiting, "timeout")
    bench.finish()
    assert len(bench.runner.states) == 1
    assert isinstance(failure(waiting), Cancelled)


@pytest.mark.parametrize("phase", ["begin", "predict", "apply", "finish"])
def test_only_the_culprit_fails_when_a_phase_raises(bench: Bench, phase: str) -> None:
    bench.runner.refuse = lambda at, names: ValueError() if at == phase and "bad" in names else None
    good, bad, other = bench.submit(Work("good"), Work("bad"), Work("other"))
    bench.finish()
    assert isinstance(failure(bad), ForwardFailed)
    assert (events(good)[-1], events(other)[-1]) == ("good done", "other done")


def test_all_clients_are_told_and_the_error_rises_when_the_device_is_lost(bench: Bench) -> None:
    bench.runner.refuse = lambda at, names: MemoryError() if at == "predict" else None
    tickets = bench.submit(Work("a"), Work("b"))
    with pytest.raises(MemoryError):
        bench.scheduler.step()
    assert all(isinstance(failure(ticket), ForwardFailed) for ticket in tickets)


async def test_accepted_jobs_end_and_new_ones_are_refused_when_draining(bench: Bench) -> None:
    (ticket,) = bench.submit(Work("a", steps=1))
    bench.finish()
    assert await bench.scheduler.drain(1)
    assert events(ticket)[-1] == "a done"
    with pytest.raises(Draining):
        bench.submit(Work("b"))


async def test_running_jobs_are_cancelled_when_draining_takes_too_long(bench: Bench) -> None:
    (ticket,) = bench.submit(Work("a", steps=100))
    bench.scheduler.step()
    assert not await bench.scheduler.drain(0)
    assert not bench.scheduler.step()
    error = failure(ticket)
    assert isinstance(error, Cancelled)
    assert error.reason == "drain"
