import asyncio
from dataclasses import replace

import pytest

from modelservice_operator.engine.elector import Elector, LeaseRecord, Timing
from tests.support.clock import FakeClock


class FakeStore:
    """A lease with optimistic locking, which can be told to fail, hang, or lose its answer."""

    def __init__(self) -> None:
        self.record: LeaseRecord | None = None
        self.mode = "ok"
        self.reads = 0
        self.writes = 0

    async def _misbehave(self) -> None:
        if self.mode == "fail":
            raise ConnectionError("no route")
        if self.mode == "hang":
            await asyncio.Event().wait()

    async def read(self) -> LeaseRecord | None:
        self.reads += 1
        await self._misbehave()
        return self.record

    async def write(self, record: LeaseRecord) -> LeaseRecord:
        self.writes += 1
        await self._misbehave()
        known = self.record.version if self.record else ""
        if record.version != known:
            raise RuntimeError("conflict")
        self.record = replace(record, version=str(int(known or 0) + 1))
        return self.record


class Candidate:
    def __init__(self, store: FakeStore, clock: FakeClock, identity: str, timing: Timing | None = None) -> None:
        self.changes: list[bool] = []
        self.elector = Elector(store, identity, timing or Timing(), self.changes.append, clock)


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def a(store: FakeStore, clock: FakeClock) -> Candidate:
    return Candidate(store, clock, "a")


@pytest.fixture
def b(store: FakeStore, clock: FakeClock) -> Candidate:
    return Candidate(store, clock, "b")


async def test_exactly_one_leads_when_two_start_together(a: Candidate, b: Candidate) -> None:
    await asyncio.gather(a.elector.step(), b.elector.step())
    assert a.elector.is_leader != b.elector.is_leader


async def test_follower_takes_over_when_the_record_stays_unchanged_for_the_duration(
    a: Candidate, b: Candidate, store: FakeStore, clock: FakeClock
) -> None:
    await a.elector.step()
    await b.elector.step()
    clock.advance(14.9)
    await b.elector.step()
    assert not b.elector.is_leader
    clock.advance(0.2)
    await b.elector.step()
    assert b.elector.is_leader
    assert store.record is not None
    assert store.record.transitions == 1


async def test_follower_waits_when_the_leader_renews(a: Candidate, b: Candidate, clock: FakeClock) -> None:
    for _ in range(20):
        await a.elector.step()
        await b.elector.step()
        clock.advance(2)
    assert a.elector.is_leader
    assert not b.elector.is_leader
    assert a.changes == [True]


async def test_remote_timestamps_are_ignored_when_clocks_differ(
    b: Candidate, store: FakeStore, clock: FakeClock
) -> None:
    store.record = LeaseRecord("a", 15, "1999-01-01T00:00:00.000000Z", "garbage", 0, "1")
    await b.elector.step()
    clock.advance(10)
    await b.elector.step()
    assert not b.elector.is_leader


async def test_leader_stops_by_its_own_clock_when_renewals_fail(
    a: Candidate, store: FakeStore, clock: FakeClock
) -> None:
    await a.elector.step()
    store.mode = "fail"
    clock.advance(9)
    await a.elector.step()
    assert a.elector.is_leader
    clock.advance(1.1)
    assert not a.elector.is_leader
    await a.elector.step()
    assert a.changes == [True, False]


async def test_leader_is_none_when_its_process_was_stopped_past_the_deadline(a: Candidate, clock: FakeClock) -> None:
    await a.elector.step()
    clock.advance(30)
    assert not a.elector.is_leader


async def test_attempt_ends_when_the_store_never_answers(store: FakeStore, clock: FakeClock) -> None:
    candidate = Candidate(store, clock, "a", Timing(0.5, 0.2, 0.05))
    store.mode = "hang"
    await asyncio.wait_for(candidate.elector.step(), 1)
    assert not candidate.elector.is_leader


async def test_leader_renews_without_reading_when_nothing_failed(
    a: Candidate, store: FakeStore, clock: FakeClock
) -> None:
    await a.elector.step()
    reads = store.reads
    for _ in range(5):
        clock.advance(2)
        await a.elector.step()
    assert store.reads == reads
    assert a.elector.is_leader


async def test_leader_steps_down_when_someone_else_holds_the_record(
    a: Candidate, store: FakeStore, clock: FakeClock
) -> None:
    await a.elector.step()
    assert store.record is not None
    store.record = replace(store.record, holder="usurper", version="99")
    clock.advance(2)
    await a.elector.step()
    clock.advance(2)
    await a.elector.step()
    assert not a.elector.is_leader
    assert a.changes == [True, False]


async def test_leader_acquires_again_when_the_record_was_deleted(
    a: Candidate, store: FakeStore, clock: FakeClock
) -> None:
    await a.elector.step()
    store.record = None
    clock.advance(2)
    await a.elector.step()
    clock.advance(2)
    await a.elector.step()
    assert a.elector.is_leader
    assert a.changes == [True]


async def test_standby_leads_at_its_next_look_when_the_leader_releases(
    a: Candidate, b: Candidate, clock: FakeClock
) -> None:
    await a.elector.step()
    await b.elector.step()
    await a.elector.release()
    assert not a.elector.is_leader
    clock.advance(1)
    await b.elector.step()
    assert b.elector.is_leader
    assert a.changes == [True, False]


async def test_release_leaves_the_record_alone_when_another_holds_it(
    a: Candidate, store: FakeStore, clock: FakeClock
) -> None:
    await a.elector.step()
    assert store.record is not None
    store.record = replace(store.record, holder="b", version="7")
    await a.elector.release()
    assert store.record.holder == "b"


async def test_follower_wakes_at_expiry_when_that_is_before_its_next_look(
    a: Candidate, b: Candidate, clock: FakeClock
) -> None:
    await a.elector.step()
    await b.elector.step()
    clock.advance(14.7)
    assert b.elector.pause() == pytest.approx(0.3)
    assert a.elector.pause() <= 2


@pytest.mark.parametrize(("duration", "deadline", "retry"), [(10, 10, 2), (15, 3, 2), (15, 10, 0)])
def test_timing_is_refused_when_it_cannot_be_safe(duration: float, deadline: float, retry: float) -> None:
    with pytest.raises(ValueError, match="renew deadline"):
        Timing(duration, deadline, retry)
