"""Jobs that empty a cache: there while their ModelService is, let go when it and its pods are gone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelservice_operator.api.names import LABEL_COLLECTOR, LABEL_MANAGED_BY, LABEL_NAME, MANAGED_BY
from modelservice_operator.api.reasons import Reason
from modelservice_operator.controller.claims import looks_again_in
from modelservice_operator.domain import SpecError
from modelservice_operator.kube.resources import CLAIM, MODEL_SERVICE
from tests.unit.controller.world import KEY, NAMESPACE, World

URI = f"hf://org/name@{'7' * 40}"
SKIP = {"modelservice.dev/preflight": "skip"}
SHARED = {"strategy": "Shared", "claimName": "models"}


@pytest.fixture
def world() -> World:
    return World()


def _claim(world: World, name: str = "models", modes: tuple[str, ...] = ("ReadWriteMany",)) -> None:
    metadata = {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}-{'-'.join(modes)}"}
    world.kube.put(CLAIM, {"kind": CLAIM.kind, "metadata": metadata, "spec": {"accessModes": list(modes)}})


def _serve(world: World, **spec: Any) -> dict[str, Any]:
    metadata = {"namespace": NAMESPACE, "name": "chat", "annotations": SKIP}
    kind = {"apiVersion": "modelservice.dev/v1alpha1", "kind": MODEL_SERVICE.kind}
    return world.put({**kind, "metadata": metadata, "spec": {"model": {"uri": URI}, "cache": SHARED, **spec}})


def _pod(world: World, name: str, node: str) -> None:
    labels = {LABEL_NAME: "chat", LABEL_MANAGED_BY: MANAGED_BY}
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    world.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": node}, "status": {}})


def _jobs(world: World) -> list[bool]:
    """Of each Job that empties a cache, whether it waits."""
    jobs = (body for (kind, _, _), body in world.kube.objects.items() if kind == "Job")
    return [body["spec"]["suspend"] for body in jobs if LABEL_COLLECTOR in body["metadata"]["labels"]]


def _delete(world: World) -> None:
    """The ModelService goes, and with it the children that it owns."""
    world.remove(MODEL_SERVICE.kind, "chat")
    for kind, _, name in list(world.kube.objects):
        if kind in ("Deployment", "Service", "ServiceAccount"):
            world.remove(kind, name)


async def test_cache_is_emptied_when_the_service_and_its_pods_are_gone(world: World) -> None:
    _claim(world)
    _serve(world)
    _pod(world, "chat-1", "a")
    await world.settle()
    assert _jobs(world) == [True]
    _delete(world)
    await world.settle()
    assert _jobs(world) == [True]
    world.remove("Pod", "chat-1")
    await world.settle()
    assert _jobs(world) == [False]
    world.written()
    world.queue.add(next(iter({record.parent for record in world.cache.of_kind("Job")})))  # type: ignore[arg-type]
    await world.settle()
    assert world.written() == []


async def test_operator_that_was_away_empties_the_cache_when_it_is_back(world: World) -> None:
    _claim(world)
    _serve(world)
    await world.settle()
    world.remove(MODEL_SERVICE.kind, "chat", tell=False)
    later = World(world.kube)
    await later.list_everything()
    await later.settle()
    assert _jobs(later) == [False]


async def test_every_node_that_had_a_pod_has_a_job(world: World) -> None:
    _claim(world, "modelservice-node-cache")
    _serve(world, cache={"strategy": "Node"})
    await world.settle()
    assert _jobs(world) == []
    _pod(world, "chat-1", "a")
    await world.settle()
    world.remove("Pod", "chat-1")
    _pod(world, "chat-2", "b")
    await world.settle()
    assert _jobs(world) == [True, True]
    world.written()
    _pod(world, "chat-3", "b")
    await world.settle()
    assert [kind for _, kind, _ in world.written() if kind == "Job"] == []


async def test_job_goes_when_files_are_to_be_kept_and_nothing_is_removed_then(world: World) -> None:
    _claim(world)
    body = _serve(world)
    await world.settle()
    body["spec"]["deletionPolicy"] = "RetainCache"
    world.put(body, "MODIFIED")
    await world.settle()
    assert _jobs(world) == []
    _delete(world)
    await world.settle()
    assert _jobs(world) == []


async def test_new_service_of_the_name_takes_over_what_the_old_one_had(world: World) -> None:
    _claim(world)
    _serve(world)
    await world.settle()
    world.remove(MODEL_SERVICE.kind, "chat", tell=False)
    _serve(world)
    await world.settle()
    assert _jobs(world) == [True]


async def test_claim_that_appears_is_seen_soon_without_any_event(world: World) -> None:
    _serve(world)
    outcomes = await world.settle()
    assert 0 < (outcomes[-1].after or 0) <= 2
    assert "Deployment" not in {kind for kind, _, _ in world.kube.objects}
    (told,) = (entry for entry in world.status()["conditions"] if entry["type"] == "SpecValid")
    assert told["reason"] == "CacheClaimNotFound"
    _claim(world, modes=("ReadWriteOnce",))
    world.queue.add(KEY)
    await world.settle()
    (told,) = (entry for entry in world.status()["conditions"] if entry["type"] == "SpecValid")
    assert told["reason"] == "CacheClaimNotShared"
    world.kube.remove(CLAIM, NAMESPACE, "models")
    _claim(world)
    world.queue.add(KEY)
    await world.settle()
    assert "chat" in world.names("Deployment")


async def test_claims_that_no_service_names_are_not_read(world: World) -> None:
    _claim(world)
    world.make()
    await world.settle()
    assert ("get", "PersistentVolumeClaim", "models") not in world.kube.reads
    assert not list(world.cache.of_kind("PersistentVolumeClaim"))


async def test_claim_that_serves_is_not_read_again_at_every_look(world: World) -> None:
    _claim(world)
    _serve(world)
    for _ in range(3):
        await world.settle()
        world.queue.add(KEY)
    assert world.kube.reads.count(("get", "PersistentVolumeClaim", "models")) == 1


@pytest.mark.parametrize(("age", "seconds"), [(0, 1), (5, 1), (200, 20), (86400, 60)])
def test_claim_that_is_missing_is_asked_for_the_more_patiently_the_longer_it_is(age: int, seconds: float) -> None:
    now = datetime(2026, 1, 31, tzinfo=UTC)
    since = (now - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    said = {"type": "SpecValid", "status": "False", "reason": "CacheClaimNotFound", "lastTransitionTime": since}
    error = SpecError(Reason.CACHE_CLAIM_NOT_FOUND, "spec.cache", "gone")
    assert looks_again_in(error, {"conditions": [said]}, now) == seconds
    assert looks_again_in(SpecError(Reason.INVALID_SPEC, "spec", "x"), {"conditions": [said]}, now) is None


async def test_nothing_is_let_go_by_one_who_does_not_lead(world: World) -> None:
    _claim(world)
    _serve(world)
    await world.settle()
    world.leads = False
    _delete(world)
    await world.settle()
    assert _jobs(world) == [True]
