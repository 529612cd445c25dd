"""The in-memory API server behaves like the real one wherever tests rely on it: one suite, both servers."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from modelservice_operator.kube.api import KubeApi
from modelservice_operator.kube.client import KubernetesApi, Login
from modelservice_operator.kube.errors import Conflict, Invalid, NotFound
from modelservice_operator.kube.resources import BY_KIND, LEASE, MODEL_SERVICE
from tests.support.fake_kube import FakeKube
from tests.support.operators import served_control_plane
from tests.support.team import make_modelservice

__all__ = ["served_control_plane"]

CONFIG_MAP = BY_KIND["ConfigMap"]
DISRUPTION_BUDGET = BY_KIND["PodDisruptionBudget"]
SERVICE_MONITOR = BY_KIND["ServiceMonitor"]


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.control_plane)])
async def api(request: pytest.FixtureRequest) -> AsyncIterator[KubeApi]:
    if request.param == "fake":
        fake = FakeKube()
        fake.served.discard(SERVICE_MONITOR.kind)
        yield fake
        return
    cluster = request.getfixturevalue("served_control_plane")
    login = await Login.load(cluster.kubeconfig, {})
    real = KubernetesApi(login)
    yield real
    await real.close()
    login.close()


@pytest.fixture
def name() -> str:
    return f"contract-{uuid.uuid4().hex[:8]}"


def make_config_map(name: str, **data: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": "modelservice-operator", "test": name}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": "default", "name": name, "labels": labels},
        "data": data,
    }


def make_lease(name: str, holder: str) -> dict[str, Any]:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"namespace": "default", "name": name},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15},
    }


async def test_apply_creates_when_the_object_is_missing(api: KubeApi, name: str) -> None:
    body = await api.apply(CONFIG_MAP, make_config_map(name, a="1"))
    assert body["metadata"]["uid"]
    assert int(body["metadata"]["resourceVersion"]) > 0
    assert (await api.get(CONFIG_MAP, "default", name))["data"] == {"a": "1"}


async def test_apply_of_a_new_object_is_refused_when_the_object_exists(api: KubeApi, name: str) -> None:
    created = await api.apply(CONFIG_MAP, make_config_map(name, a="1"), only_new=True)
    for body in (make_config_map(name, a="1"), make_config_map(name, a="2")):
        with pytest.raises(Conflict):
            await api.apply(CONFIG_MAP, body, only_new=True)
    assert await api.get(CONFIG_MAP, "default", name) == created
    assert (await api.apply(CONFIG_MAP, make_config_map(name, b="2")))["data"] == {"b": "2"}


async def test_version_stays_when_the_same_is_applied_again(api: KubeApi, name: str) -> None:
    first = await api.apply(CONFIG_MAP, make_config_map(name, a="1"))
    second = await api.apply(CONFIG_MAP, make_config_map(name, a="1"))
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


async def test_field_disappears_when_it_is_not_applied_any_more(api: KubeApi, name: str) -> None:
    await api.apply(CONFIG_MAP, make_config_map(name, a="1", b="2"))
    body = await api.apply(CONFIG_MAP, make_config_map(name, a="1"))
    assert body["data"] == {"a": "1"}


async def test_get_raises_when_the_object_is_missing(api: KubeApi, name: str) -> None:
    with pytest.raises(NotFound):
        await api.get(CONFIG_MAP, "default", name)


async def test_delete_is_refused_when_the_uid_is_another(api: KubeApi, name: str) -> None:
    body = await api.apply(CONFIG_MAP, make_config_map(name))
    with pytest.raises(Conflict):
        await api.delete(CONFIG_MAP, "default", name, str(uuid.uuid4()))
    await api.delete(CONFIG_MAP, "default", name, body["metadata"]["uid"])
    with pytest.raises(NotFound):
        await api.delete(CONFIG_MAP, "default", name, body["metadata"]["uid"])


async def test_list_returns_every_match_when_there_are_several_pages(api: KubeApi, name: str) -> None:
    for index in range(3):
        await api.apply(CONFIG_MAP, make_config_map(f"{name}-{index}"))
    items = [item async for page in api.list_pages(CONFIG_MAP, "default", limit=2) for item in page.items]
    assert [i["metadata"]["name"] for i in items if i["metadata"]["name"].startswith(name)] == [
        f"{name}-{index}" for index in range(3)
    ]


async def test_list_leaves_out_what_the_selector_does_not_match(api: KubeApi, name: str) -> None:
    foreign = make_config_map(name)
    del foreign["metadata"]["labels"]
    await api.create(CONFIG_MAP, foreign)
    listed = [item["metadata"]["name"] async for page in api.list_pages(CONFIG_MAP) for item in page.items]
    assert name not in listed


async def test_list_has_a_version_when_nothing_matches(api: KubeApi) -> None:
    pages = [page async for page in api.list_pages(DISRUPTION_BUDGET, "kube-public")]
    assert [page.items for page in pages] == [[]]
    assert int(pages[0].version) > 0


async def test_status_is_patched_when_the_version_is_current_and_refused_when_not(api: KubeApi, name: str) -> None:
    body = await api.create(MODEL_SERVICE, make_modelservice("default", name))
    version = body["metadata"]["resourceVersion"]
    patched = await api.patch_status(MODEL_SERVICE, "default", name, {"phase": "Pending", "url": "http://a"}, version)
    assert patched["status"] == {"phase": "Pending", "url": "http://a"}
    assert patched["spec"]["model"] == body["spec"]["model"]
    with pytest.raises(Conflict):
        await api.patch_status(MODEL_SERVICE, "default", name, {"phase": "Ready"}, version)
    again = patched["metadata"]["resourceVersion"]
    assert (await api.patch_status(MODEL_SERVICE, "default", name, {"url": None}, again))["status"] == {
        "phase": "Pending"
    }


async def test_create_is_refused_when_the_object_exists(api: KubeApi, name: str) -> None:
    await api.create(LEASE, make_lease(name, "a"))
    with pytest.raises(Conflict):
        await api.create(LEASE, make_lease(name, "b"))


async def test_replace_is_refused_when_the_version_is_old(api: KubeApi, name: str) -> None:
    created = await api.create(LEASE, make_lease(name, "a"))
    taken = make_lease(name, "b")
    taken["metadata"]["resourceVersion"] = created["metadata"]["resourceVersion"]
    replaced = await api.replace(LEASE, taken)
    assert replaced["spec"]["holderIdentity"] == "b"
    with pytest.raises(Conflict):
        await api.replace(LEASE, taken)


async def test_kind_is_served_or_not_when_its_definition_is_there_or_not(api: KubeApi) -> None:
    assert await api.serves(DISRUPTION_BUDGET)
    assert not await api.serves(SERVICE_MONITOR)


async def test_calls_raise_not_found_when_the_kind_is_not_served(api: KubeApi, name: str) -> None:
    with pytest.raises(NotFound):
        await api.get(SERVICE_MONITOR, "default", name)


@pytest.mark.control_plane
async def test_apply_is_invalid_when_a_field_is_unknown(control_plane: Any, name: str) -> None:
    login = await Login.load(control_plane.kubeconfig, {})
    real = KubernetesApi(login)
    try:
        with pytest.raises(Invalid, match="bogus"):
            await real.apply(CONFIG_MAP, {**make_config_map(name), "bogus": 1})
    finally:
        await real.close()
        login.close()
