import asyncio

import pytest

from modelservice_operator.engine.backoff import Backoff
from modelservice_operator.engine.queue import HIGH_IN_A_ROW, Priority, WorkQueue
from tests.support.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> WorkQueue[str]:
    return WorkQueue(Backoff(base=0.2, cap=300, draw=lambda: 1.0), clock=clock)


def drain(queue: WorkQueue[str]) -> list[str]:
    taken = []
    while (key := queue.take()) is not None:
        taken.append(key)
    return taken


def test_key_waits_once_when_added_often(queue: WorkQueue[str]) -> None:
    for _ in range(5):
        queue.add("a")
    assert drain(queue) == ["a"]


def test_key_is_in_one_worker_when_added_while_running_and_runs_again_after(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    assert queue.take() is None
    queue.done("a")
    assert queue.take() == "a"
    queue.done("a")
    assert queue.take() is None


def test_change_goes_first_when_routine_keys_wait(queue: WorkQueue[str]) -> None:
    queue.add("old", Priority.ROUTINE)
    queue.add("new", Priority.CHANGE)
    assert drain(queue) == ["new", "old"]


def test_routine_key_moves_forward_when_it_is_changed(queue: WorkQueue[str]) -> None:
    queue.add("a", Priority.ROUTINE)
    queue.add("b", Priority.ROUTINE)
    queue.add("b", Priority.CHANGE)
    queue.add("b", Priority.ROUTINE)
    assert drain(queue) == ["b", "a"]


def test_routine_key_is_served_when_changes_never_end(queue: WorkQueue[str]) -> None:
    queue.add("patient", Priority.ROUTINE)
    for index in range(100):
        queue.add(f"hot{index}", Priority.CHANGE)
    assert "patient" in drain(queue)[: HIGH_IN_A_ROW + 1]


def test_retries_back_off_exponentially_when_a_key_keeps_failing(queue: WorkQueue[str]) -> None:
    assert [queue.retry("a") for _ in range(4)] == pytest.approx([0.2, 0.4, 0.8, 1.6])
    queue.forget("a")
    assert queue.retry("a") == pytest.approx(0.2)


def test_retry_is_capped_when_a_key_failed_very_often(queue: WorkQueue[str]) -> None:
    delays = [queue.retry("a") for _ in range(100)]
    assert max(delays) == 300


def test_retry_waits_as_long_as_the_server_asked_when_that_is_longer(queue: WorkQueue[str]) -> None:
    assert queue.retry("a", at_least=7) == 7


def test_delayed_key_becomes_ready_when_its_time_has_come(queue: WorkQueue[str], clock: FakeClock) -> None:
    queue.add_after("a", 1.0)
    clock.advance(0.9)
    assert queue.take() is None
    clock.advance(0.2)
    assert queue.take() == "a"


def test_earliest_delay_counts_when_several_are_pending(queue: WorkQueue[str], clock: FakeClock) -> None:
    queue.add_after("a", 5.0)
    queue.add_after("a", 1.0)
    queue.add_after("a", 9.0)
    clock.advance(1.1)
    assert drain(queue) == ["a"]
    queue.done("a")
    clock.advance(20)
    assert drain(queue) == []


def test_event_runs_at_once_when_the_key_is_backing_off(queue: WorkQueue[str]) -> None:
    queue.retry("a")
    queue.add("a")
    assert queue.take() == "a"


def test_full_jitter_stays_within_its_bounds_when_drawn() -> None:
    backoff = Backoff(base=0.2, cap=10, floor=0.05)
    for failures in range(1, 20):
        assert 0.05 <= backoff.delay(failures) <= min(10, 0.2 * 2 ** (failures - 1))


async def test_get_wakes_when_a_key_is_added() -> None:
    queue: WorkQueue[str] = WorkQueue()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    assert await asyncio.wait_for(waiting, 1) == "a"


async def test_get_wakes_when_a_delay_has_passed() -> None:
    queue: WorkQueue[str] = WorkQueue()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add_after("a", 0.05)
    assert await asyncio.wait_for(waiting, 1) == "a"


async def test_each_key_goes_to_one_taker_when_many_wait() -> None:
    queue: WorkQueue[int] = WorkQueue()
    takers = [asyncio.create_task(queue.get()) for _ in range(10)]
    await asyncio.sleep(0)
    for index in range(10):
        queue.add(index)
    assert sorted(await asyncio.wait_for(asyncio.gather(*takers), 1)) == list(range(10))
