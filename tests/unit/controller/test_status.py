from typing import Any

import pytest

from modelservice_operator.controller.status import StatusWriter
from modelservice_operator.engine.cache import Record
from modelservice_operator.kube.errors import Conflict
from modelservice_operator.kube.resources import MODEL_SERVICE
from tests.support.clock import FakeClock
from tests.unit.controller.world import KEY, World


def make_status(ready: str, reason: str, **more: Any) -> dict[str, Any]:
    condition = {"type": "Ready", "status": ready, "reason": reason}
    return {"observedGeneration": 1, "conditions": [condition], **more}


STARTING = make_status("False", "Starting", replicas=1)
READY = make_status("True", "Ready", replicas=1)
BROKEN = make_status("False", "CrashLooping", replicas=1)


class Desk:
    """A status writer with one ModelService and a clock."""

    def __init__(self) -> None:
        self.world = World()
        self.world.make()
        self.clock = FakeClock()
        self.writer = StatusWriter(self.world.kube, self.world.intake, self.clock)

    @property
    def record(self) -> Record:
        record = self.world.cache.get(KEY.id)
        assert record is not None
        return record

    async def write(self, status: dict[str, Any], hold: float = 0.0) -> float | None:
        return await self.writer.write(KEY, self.record, status, hold)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_first_progress_waits_a_second_and_is_then_written(desk: Desk) -> None:
    assert await desk.write(STARTING) == pytest.approx(1.0)
    assert desk.world.status() == {}
    desk.clock.advance(1.0)
    assert await desk.write(STARTING) is None
    assert desk.world.status() == STARTING


async def test_wait_is_counted_from_the_first_change_when_more_follow(desk: Desk) -> None:
    await desk.write(STARTING)
    desk.clock.advance(0.6)
    assert await desk.write({**STARTING, "replicas": 2}) == pytest.approx(0.4)


async def test_failure_is_written_at_once_when_it_appears(desk: Desk) -> None:
    assert await desk.write(BROKEN) is None
    assert desk.world.status() == BROKEN


async def test_readiness_is_written_at_once_when_it_flips(desk: Desk) -> None:
    desk.world.put({**desk.world.kube.objects[(MODEL_SERVICE.kind, "team", "chat")], "status": STARTING}, "MODIFIED")
    assert await desk.write(READY) is None
    assert desk.world.status() == READY


async def test_readiness_waits_for_the_report_when_it_is_about_to_come(desk: Desk) -> None:
    desk.world.put({**desk.world.kube.objects[(MODEL_SERVICE.kind, "team", "chat")], "status": STARTING}, "MODIFIED")
    assert await desk.write(READY, hold=0.3) == pytest.approx(0.3)
    desk.clock.advance(0.1)
    assert await desk.write(READY) is None


async def test_nothing_is_sent_when_the_status_is_the_same(desk: Desk) -> None:
    await desk.write(BROKEN)
    desk.world.written()
    assert await desk.write(BROKEN) is None
    assert desk.world.written() == []


async def test_conflict_is_raised_and_the_change_stays_due_when_the_object_changed_meanwhile(desk: Desk) -> None:
    stale = desk.record
    desk.world.put({**desk.world.kube.objects[(MODEL_SERVICE.kind, "team", "chat")], "spec": {"suspend": True}})
    with pytest.raises(Conflict):
        await desk.writer.write(KEY, stale, BROKEN)
    assert await desk.write(BROKEN) is None
    assert desk.world.status() == BROKEN
