import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from modelservice_operator.engine.backoff import Backoff
from modelservice_operator.engine.gate import Gate
from modelservice_operator.engine.queue import WorkQueue
from modelservice_operator.engine.workers import Outcome, Workers
from tests.support.polling import until


class Recorder:
    """Metrics that remember, and a handler whose behaviour a test sets."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.results: list[str] = []
        self.concurrent: Counter[str] = Counter()
        self.overlap = 0
        self.behave: Callable[[str], object] = lambda key: None

    def finished(self, result: str, seconds: float) -> None:
        self.results.append(result)

    def running(self, count: int) -> None:
        return None

    async def handle(self, key: str) -> Outcome:
        self.calls[key] += 1
        self.concurrent[key] += 1
        self.overlap = max(self.overlap, self.concurrent[key])
        try:
            outcome = self.behave(key)
            if asyncio.iscoroutine(outcome):
                outcome = await outcome
        finally:
            self.concurrent[key] -= 1
        return outcome if isinstance(outcome, Outcome) else Outcome("Done")


class World:
    def __init__(self) -> None:
        self.recorder = Recorder()
        self.gate = Gate(["open"])
        self.gate.set("open", True)
        self.queue: WorkQueue[str] = WorkQueue(Backoff(base=0.01, cap=0.02))
        self.workers = Workers(self.queue, self.recorder.handle, self.gate, self.recorder, count=4, deadline=0.3)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    task = asyncio.create_task(world.workers.run())
    yield world
    task.cancel()
    await asyncio.wait({task})


async def test_failing_key_is_retried_and_others_go_on_when_a_handler_raises(world: World) -> None:
    def behave(key: str) -> None:
        if key == "poison":
            raise ValueError("bad")

    world.recorder.behave = behave
    world.queue.add("poison")
    world.queue.add("good")
    await until(lambda: world.recorder.calls["poison"] >= 3 and world.recorder.calls["good"] == 1)
    assert "Error" in world.recorder.results


async def test_key_never_runs_twice_at_once_when_it_is_added_all_the_time(world: World) -> None:
    world.recorder.behave = lambda key: asyncio.sleep(0.01)
    for _ in range(20):
        world.queue.add("a")
        await asyncio.sleep(0.003)
    await until(lambda: not world.queue.running)
    assert world.recorder.overlap == 1
    assert 2 <= world.recorder.calls["a"] < 20


async def test_nothing_is_taken_when_the_gate_is_closed(world: World) -> None:
    world.gate.set("open", False)
    await asyncio.sleep(0.01)
    world.queue.add("a")
    await asyncio.sleep(0.05)
    assert world.recorder.calls["a"] == 0
    world.gate.set("open", True)
    await until(lambda: world.recorder.calls["a"] == 1)


async def test_call_in_flight_is_cancelled_and_repeated_when_interrupted(world: World) -> None:
    world.recorder.behave = lambda key: asyncio.sleep(10) if world.recorder.calls[key] == 1 else None
    world.queue.add("a")
    await until(lambda: world.recorder.calls["a"] == 1)
    world.workers.interrupt()
    await until(lambda: world.recorder.calls["a"] == 2)
    assert world.recorder.results == ["Interrupted", "Done"]


async def test_call_ends_and_is_retried_when_it_exceeds_its_deadline(world: World) -> None:
    world.recorder.behave = lambda key: asyncio.sleep(10) if world.recorder.calls[key] == 1 else None
    world.queue.add("a")
    await until(lambda: world.recorder.calls["a"] == 2)
    assert world.recorder.results[0] == "Error"


async def test_key_returns_later_when_the_outcome_asks_for_it(world: World) -> None:
    world.recorder.behave = lambda key: Outcome("Waiting", after=0.05) if world.recorder.calls[key] == 1 else None
    world.queue.add("a")
    await until(lambda: world.recorder.calls["a"] == 2)


async def test_drain_waits_for_calls_in_flight_when_they_end_in_time(world: World) -> None:
    world.recorder.behave = lambda key: asyncio.sleep(0.05)
    world.queue.add("a")
    await until(lambda: world.recorder.calls["a"] == 1)
    world.gate.set("open", False)
    assert await world.workers.drain(1.0)
    assert world.recorder.results == ["Done"]


async def test_drain_interrupts_when_calls_do_not_end(world: World) -> None:
    world.recorder.behave = lambda key: asyncio.sleep(10)
    world.queue.add("a")
    await until(lambda: world.recorder.calls["a"] == 1)
    world.gate.set("open", False)
    assert not await world.workers.drain(0.05)
    assert world.workers.oldest() == 0.0
