"""What services hold and how long pods take to start, from the records that pass by."""

from typing import Any

import pytest

from modelservice_operator.controller.intake import record_of
from modelservice_operator.controller.usage import Usage
from modelservice_operator.engine.cache import Record
from modelservice_operator.kube.resources import MODEL_SERVICE, POD
from modelservice_operator.observability.metrics import PREFIX, Metrics
from tests.unit.controller.world import World

OWNER = {"modelservice": "chat", "modelservice_namespace": "team"}
HELD = f"{PREFIX}_accelerator_seconds_total"
PLACED, READY = "2026-01-31T08:00:00Z", "2026-01-31T08:00:42Z"


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class _Watched:
    """Usage with its metrics, as a replica that leads has it."""

    def __init__(self, leads: bool = True) -> None:
        self.clock, self.metrics = _Clock(), Metrics()
        self.usage = Usage(self.metrics, self.clock)
        self.usage.lead(leads)

    def held(self, resource: str = "nvidia.com/gpu") -> float | None:
        self.usage.settle()
        return self.metrics.registry.get_sample_value(HELD, {**OWNER, "resource": resource})

    def starts(self) -> tuple[float | None, float | None]:
        names = (f"{PREFIX}_start_seconds_count", f"{PREFIX}_start_seconds_sum")
        count, total = (self.metrics.registry.get_sample_value(name) for name in names)
        return count, total


def _pod(*given: Any, **server: Any) -> Record:
    return record_of(POD, _pod_body(*given, **server))


def _pod_body(
    node: str = "n1", ready: bool = False, gpus: str = "2", name: str = "chat-x", **server: Any
) -> dict[str, Any]:
    conditions = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": PLACED}]
    conditions.append({"type": "Ready", "status": str(ready), "lastTransitionTime": READY})
    limits = {"nvidia.com/gpu": gpus, "memory": "2Gi"} if gpus else {"memory": "2Gi"}
    metadata = {"name": name, "namespace": "team", "uid": name, "resourceVersion": "5"}
    statuses = [{"name": "server", "started": ready, "restartCount": 0, **server}]
    return {
        "kind": "Pod",
        "metadata": {**metadata, "labels": {"modelservice.dev/name": "chat"}},
        "spec": {"nodeName": node, "containers": [{"name": "server", "resources": {"limits": limits}}]},
        "status": {"phase": "Running", "conditions": conditions, "containerStatuses": statuses},
    }


def _service() -> Record:
    metadata = {"name": "chat", "namespace": "team", "uid": "s", "resourceVersion": "9"}
    return record_of(MODEL_SERVICE, {"metadata": metadata, "spec": {}})


def test_devices_count_from_the_node_to_the_end() -> None:
    world = _Watched()
    world.usage.see(_pod(node=""))
    world.clock.now += 50
    assert world.held() is None
    world.usage.see(_pod())
    world.clock.now += 10
    world.usage.see(_pod(name="chat-y", gpus="1"))
    world.clock.now += 5
    world.usage.forget(_pod())
    world.clock.now += 100
    world.usage.forget(_pod(name="chat-y"))
    world.clock.now += 1000
    assert world.held() == 2 * 15 + 105


def test_pod_without_accelerators_has_no_series() -> None:
    world = _Watched()
    world.usage.see(_pod(gpus=""))
    world.clock.now += 10
    assert world.held() is None


def test_standby_counts_nothing_and_goes_on_where_it_takes_over() -> None:
    world = _Watched(leads=False)
    world.usage.see(_pod())
    world.clock.now += 1000
    assert world.held() is None
    world.usage.lead(True)
    world.clock.now += 7
    world.usage.lead(False)
    world.clock.now += 1000
    assert world.held() == 14


def test_series_ends_when_the_service_and_its_last_pod_are_gone() -> None:
    world = _Watched()
    world.usage.see(_service())
    world.usage.see(_pod())
    world.clock.now += 10
    world.usage.forget(_service())
    assert world.held() == 20
    world.usage.forget(_pod())
    assert world.held() is None


def test_figures_stay_while_a_service_has_no_pod() -> None:
    world = _Watched()
    world.usage.see(_service())
    world.usage.see(_pod())
    world.clock.now += 10
    world.usage.forget(_pod())
    assert world.held() == 20


def test_start_is_counted_once_from_the_node_to_the_answer() -> None:
    world = _Watched()
    world.usage.see(_pod())
    for ready in (True, False, True):
        world.usage.see(_pod(ready=ready, started=True))
    assert world.starts() == (1, 42)


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(_pod(ready=True), id="ready before this process saw it"),
        pytest.param(_pod(started=True), id="ready once, and not just now"),
        pytest.param(_pod(restartCount=1), id="started anew"),
    ],
)
def test_start_that_was_not_seen_from_its_beginning_is_not_counted(first: Record) -> None:
    world = _Watched()
    world.usage.see(first)
    world.usage.see(_pod(ready=True))
    assert world.starts() == (0, 0)


def test_start_with_a_crash_is_not_counted() -> None:
    world = _Watched()
    world.usage.see(_pod())
    world.usage.see(_pod(ready=True, restartCount=2))
    assert world.starts() == (0, 0)


@pytest.mark.parametrize("tell", [True, False])
async def test_pod_holds_nothing_when_its_deletion_was_told_or_found_by_a_list(tell: bool) -> None:
    world = World()
    world.put(_pod_body())
    world.seconds += 10
    world.remove("Pod", "chat-x", tell=tell)
    await world.list_everything()
    world.seconds += 1000
    world.usage.settle()
    assert world.metrics.registry.get_sample_value(HELD, {**OWNER, "resource": "nvidia.com/gpu"}) == 20
