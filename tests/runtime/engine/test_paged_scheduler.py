"""The scheduler over an engine that batches by itself, with a scripted engine."""

from collections.abc import Sequence
from typing import Any

import pytest

from modelservice_runtime.engine.generation import Generation
from modelservice_runtime.engine.intake import Intake, QueueLimits
from modelservice_runtime.engine.paged_scheduler import PagedScheduler
from modelservice_runtime.engine.sampling import Sampling
from modelservice_runtime.engine.scheduling import Cancelled, ForwardFailed, Outbox, Ticket
from tests.runtime.engine.doubles import ImmediateLoop, RememberingMeter, Silent


class CountingEngine:
    """Gives each request one token a step, the last one plus one."""

    max_length = 64

    def __init__(self) -> None:
        self.held: dict[str, list[int]] = {}
        self.fail_next: Exception | None = None

    def add(self, key: str, request: Generation) -> None:
        self.held[key] = list(request.prompt)

    def drop(self, key: str) -> None:
        self.held.pop(key, None)

    def step(self) -> None:
        if self.fail_next is not None:
            error, self.fail_next = self.fail_next, None
            raise error
        for tokens in self.held.values():
            tokens.append(tokens[-1] + 1)

    def fresh_tokens(self, key: str, known: int) -> Sequence[int]:
        return self.held[key][known:]

    def forget_finished(self) -> None:
        pass

    def clear(self) -> None:
        self.held.clear()

    def usage(self, used_tokens: int) -> float:
        return used_tokens / 100

    def is_fatal(self, error: Exception) -> bool:
        return isinstance(error, MemoryError)


class Bench:
    """A scheduler with what surrounds it."""

    def __init__(self, most: int = 2) -> None:
        self.engine = CountingEngine()
        loop: Any = ImmediateLoop()
        meter: Any = RememberingMeter()
        intake = Intake(QueueLimits(16, 1000, 60), lambda: None)
        self.scheduler = PagedScheduler(self.engine, intake, Outbox(loop), meter, most)

    def submit(self, prompt: Sequence[int], tokens: int, end: int = -1) -> Ticket:
        return self.scheduler.submit(Generation(prompt, tokens, Sampling(), frozenset([end]), Silent()), len(prompt))

    def run(self) -> None:
        while self.scheduler.step():
            pass


async def test_generations_end_by_length_and_by_token_and_free_the_engine() -> None:
    bench = Bench()
    tickets = [bench.submit([1, 2], 3), bench.submit([10], 9, end=12), bench.submit([20], 1)]
    bench.run()
    done = [await ticket.result() for ticket in tickets]
    assert [each.tokens for each in done] == [(3, 4, 5), (11, 12), (21,)]
    assert [each.reason for each in done] == ["length", "stop", "length"]
    assert bench.engine.held == {}


async def test_requests_wait_when_as_many_as_may_are_running() -> None:
    bench = Bench(most=2)
    for start in (1, 2, 3):
        bench.submit([start], 5)
    bench.scheduler.step()
    stats = bench.scheduler.stats()
    assert (stats.running, stats.queued) == (2, 1)
    assert stats.kv_usage == pytest.approx(0.04)


async def test_cancelled_generation_is_gone_after_one_step() -> None:
    bench = Bench()
    running, waiting = bench.submit([1], 50), bench.submit([2], 1)
    bench.scheduler.step()
    bench.scheduler.cancel(running, "disconnect")
    bench.scheduler.step()
    with pytest.raises(Cancelled):
        await running.result()
    assert (await waiting.result()).tokens == (3,)
    assert bench.engine.held == {}


async def test_running_generations_fail_and_later_ones_succeed_when_a_step_raises() -> None:
    bench = Bench()
    unlucky = bench.submit([1], 5)
    bench.engine.fail_next = ValueError("a shape")
    bench.scheduler.step()
    with pytest.raises(ForwardFailed):
        await unlucky.result()
    later = bench.submit([7], 1)
    bench.run()
    assert (await later.result()).tokens == (8,)


def test_fatal_error_ends_the_engine() -> None:
    bench = Bench()
    bench.submit([1], 5)
    bench.engine.fail_next = MemoryError()
    with pytest.raises(MemoryError):
        bench.scheduler.step()
