"""The requests of a canary beside those of the revision that served, from real HTTP servers in place of the pods."""

from datetime import UTC, datetime
from typing import Any

import pytest

from modelservice_operator.controller.comparison import Comparison
from modelservice_operator.controller.observe import observe
from modelservice_operator.domain import Calls
from modelservice_operator.observability.scrape import Scraper
from tests.support.admin_ports import AdminPort
from tests.unit.controller.world import KEY, NAMESPACE, World

STEPS = {"strategy": "Canary", "canary": {"steps": [{"weight": 20, "pauseSeconds": 60}]}}
STAGE = '{"revision":"r","since":"2026-01-31T08:00:00Z"}'
OVER = datetime(2026, 1, 31, 8, 1, 0, tzinfo=UTC)


def _says(**codes: int) -> str:
    lines = (f'inference_requests_total{{code="{code.strip("c")}"}} {count}\n' for code, count in codes.items())
    return "# TYPE inference_requests_total counter\n" + "".join(lines)


def _put_pod(world: World, name: str, address: str, track: dict[str, str], ready: bool = True) -> None:
    labels = {"modelservice.dev/name": "chat", **track}
    status = {"podIP": address, "conditions": [{"type": "Ready", "status": str(ready)}]}
    metadata = {"namespace": NAMESPACE, "name": name, "labels": labels}
    world.put({"kind": "Pod", "metadata": metadata, "spec": {"containers": []}, "status": status})


@pytest.mark.parametrize(
    ("stage", "now", "calls"),
    [
        pytest.param(STAGE, OVER, (Calls(1, 101), Calls(6, 10)), id="a step is over"),
        pytest.param(STAGE, OVER.replace(minute=0), None, id="a step is not over"),
        pytest.param("", OVER, None, id="no step has begun"),
    ],
)
async def test_requests_are_counted_when_a_step_is_over(stage: str, now: datetime, calls: Any) -> None:
    world, canary = World(), {"modelservice.dev/track": "canary"}
    world.make(rollout=STEPS)
    marks = {"modelservice.dev/canary-stage": stage} if stage else {}
    owner = {"name": "chat-canary", "namespace": NAMESPACE, "labels": {"modelservice.dev/name": "chat"}}
    world.put({"kind": "Deployment", "metadata": {**owner, "annotations": marks}, "spec": {"template": {}}})
    stable = AdminPort("127.0.0.1", _says(c200=90, c404=10, c500=1), 0)
    tried = AdminPort("127.0.0.2", _says(c200=4, c503=6), stable.port)
    for name, address, track in (("a", "127.0.0.1", {}), ("b", "127.0.0.2", canary), ("c", "127.0.0.3", canary)):
        _put_pod(world, name, address, track)
    _put_pod(world, "d", "127.0.0.2", {}, ready=False)
    scraper = Scraper(stable.port)
    seen = observe(world.cache, KEY, now)
    assert seen is not None
    assert await Comparison(scraper).of(seen) == calls
    assert bool(tried.asked) is bool(calls)
    await scraper.close()
    stable.close()
    tried.close()
