"""A service goes to zero and comes back, step by step, as the operator sees it."""

from typing import Any

import pytest

from modelservice_operator.api.names import IDLE
from modelservice_operator.domain import Facts
from modelservice_operator.kube.errors import Forbidden
from modelservice_operator.kube.resources import BY_KIND, MODEL_SERVICE
from tests.unit.controller.world import KEY, NAMESPACE, World

SCALING = {"minReplicas": 0, "maxReplicas": 3, "idle": {"scaleToZeroAfterSeconds": 30}}
ACTIVATOR = ("10.244.0.9",)
ONE = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}


@pytest.fixture
async def world() -> World:
    found = World()
    found.facts = Facts(default_runtime_image="runtime:1", activator=ACTIVATOR)
    found.make(autoscaling=SCALING)
    await found.settle()
    return found


def _live(world: World, kind: str, name: str = "chat") -> dict[str, Any]:
    return world.kube.objects[kind, NAMESPACE, name]


def _door(world: World) -> list[str]:
    endpoints = _live(world, "EndpointSlice", "chat-activator")["endpoints"]
    return [address for each in endpoints for address in each["addresses"]]


def _scale(world: World, replicas: int, ready: int) -> None:
    """What others do: the number of replicas, and what became of it."""
    body = dict(_live(world, "Deployment"))
    body["spec"] = {**body["spec"], "replicas": replicas}
    body["status"] = dict.fromkeys(ONE, ready) | {"observedGeneration": 99}
    world.put(body, "MODIFIED")


def _pod(world: World) -> dict[str, Any]:
    template = _live(world, "Deployment")["spec"]["template"]["metadata"]
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-31T08:00:00Z"}
    return {
        "kind": "Pod",
        "metadata": {"namespace": NAMESPACE, "name": "chat-1", "labels": template["labels"]},
        "spec": {"containers": []},
        "status": {"podIP": "10.244.1.9", "conditions": [ready]},
    }


async def _settle_again(world: World) -> Any:
    world.queue.add(KEY)
    return (await world.settle())[-1]


async def test_service_sleeps_and_wakes(world: World) -> None:
    assert _door(world) == list(ACTIVATOR), "requests are held while the first pod starts"
    _scale(world, 1, 1)
    world.put(_pod(world))
    world.activity.quiet = 10.0
    await world.settle()
    assert _door(world) == [], "live traffic does not pass through the activator"

    world.activity.quiet = 30.0
    outcome = await _settle_again(world)
    assert _door(world) == list(ACTIVATOR)
    assert 0 < outcome.after <= 1.0
    assert _live(world, "Deployment")["spec"]["replicas"] == 1, "the way is open before the pod goes"
    await _settle_again(world)
    deployment = _live(world, "Deployment")
    assert (deployment["spec"]["replicas"], deployment["metadata"]["annotations"][IDLE]) == (0, "true")
    conditions = {each["type"]: each["reason"] for each in world.status()["conditions"]}
    assert (conditions["Idle"], conditions["Ready"]) == ("ScaledToZero", "ScaledToZero")

    world.remove("Pod", "chat-1")
    _scale(world, 0, 0)
    world.activity.quiet = None
    await world.settle()
    world.written()
    await _settle_again(world)
    assert world.written() == []
    restarted = World(world.kube)
    restarted.facts = world.facts
    await restarted.list_everything()
    await restarted.settle()
    assert _live(world, "Deployment")["spec"]["replicas"] == 0, "a restarted operator wakes nobody"

    _scale(world, 1, 0)
    await world.settle()
    assert IDLE not in _live(world, "Deployment")["metadata"]["annotations"]
    assert _door(world) == list(ACTIVATOR), "the way stays open until the pod is ready"


async def test_last_pod_stays_while_the_way_to_the_activator_cannot_be_opened(world: World) -> None:
    _scale(world, 1, 1)
    world.put(_pod(world))
    world.activity.quiet = 0.0
    await world.settle()
    world.activity.quiet = 60.0
    refusal = Forbidden(403, "no")
    world.kube.fail = lambda verb, kind, name: refusal if (verb, kind) == ("apply", "EndpointSlice") else None
    for _ in range(3):
        await _settle_again(world)
    assert _live(world, "Deployment")["spec"]["replicas"] == 1


async def test_addresses_follow_the_pods_of_the_activator(world: World) -> None:
    world.facts = Facts(default_runtime_image="runtime:1", activator=("10.244.0.10", "10.244.0.9"))
    await _settle_again(world)
    assert _door(world) == ["10.244.0.10", "10.244.0.9"]


async def test_two_services_have_two_ports_and_keep_them_when_the_operator_starts_anew(world: World) -> None:
    world.make("other", autoscaling=SCALING)
    await world.settle()
    slices = {name: _live(world, "EndpointSlice", name)["ports"] for name in ("chat-activator", "other-activator")}
    ports = {name: found[0]["port"] for name, found in slices.items()}
    assert len(set(ports.values())) == 2
    again = World(world.kube)
    again.facts = world.facts
    await again.list_everything()
    again.written()
    await again.settle()
    assert [each for each in again.written() if each[1] == "EndpointSlice"] == []


async def test_door_goes_with_its_block(world: World) -> None:
    fresh = dict(_live(world, MODEL_SERVICE.kind))
    fresh["spec"] = {**fresh["spec"], "autoscaling": {"maxReplicas": 3}}
    world.put(fresh, "MODIFIED")
    await world.settle()
    assert world.names(BY_KIND["EndpointSlice"].kind) == set()
