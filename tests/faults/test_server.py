"""The API server is away, slow, overloaded, or refuses: the operator waits, says so where it can, and converges."""

import asyncio
import json
import time
from collections import Counter
from itertools import pairwise

import pytest

from modelservice_operator.kube.resources import MODEL_SERVICE
from tests.cluster import Cluster
from tests.faults.bench import CONVERGE_SECONDS, FaultBench
from tests.faults.parts import frozen, without
from tests.faults.proxy import Ask, Exchange, Fault, cut, late, reset, status, swallow
from tests.support.polling import until_async
from tests.support.team import Body

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(400)]

BASIC = ("ServiceAccount", "Deployment", "Service")


def is_write(ask: Ask) -> bool:
    """Whether a request changes a child or a status."""
    return ask.is_write


def anything(ask: Ask) -> bool:
    """Every request, leases apart: who leads is another test's matter."""
    return ask.resource != "leases"


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("parts", "seconds"),
    [
        pytest.param(("kube-apiserver",), 3, id="api-server"),
        pytest.param(("kube-apiserver",), 60, id="api-server-for-a-minute"),
        pytest.param(("etcd",), 5, id="etcd"),
        pytest.param(("etcd", "kube-apiserver"), 5, id="both"),
    ],
)
async def test_operator_goes_on_when_the_control_plane_was_away(
    bench: FaultBench, parts: tuple[str, ...], seconds: float
) -> None:
    replica = bench.lead()
    await bench.team.create("before")
    await bench.converge("before", *BASIC)
    with without(bench.cluster, *parts):
        await asyncio.sleep(seconds)
    await bench.team.create("after")
    await bench.converge("after", *BASIC)
    await bench.team.remove("Service", "before")
    await bench.converge("before", *BASIC)
    bench.expect_one_writer()
    bench.expect_health([replica])
    await bench.expect_quiet()


@pytest.mark.thorough
async def test_operator_goes_on_when_etcd_stood_still(bench: FaultBench) -> None:
    replica = bench.lead()
    with frozen(bench.cluster, "etcd"):
        await asyncio.sleep(15)
    await bench.team.create("chat")
    await bench.converge("chat", *BASIC)
    bench.expect_one_writer()
    bench.expect_health([replica])


@pytest.mark.thorough
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(status(503, "ServiceUnavailable"), id="503"),
        pytest.param(status(500, "InternalError"), id="500"),
        pytest.param(status(401, "Unauthorized"), id="401"),
        pytest.param(reset, id="reset"),
    ],
)
async def test_requests_are_few_while_everything_fails(bench: FaultBench, fault: Fault) -> None:
    replica = bench.lead()
    await bench.team.create("before")
    await bench.converge("before", *BASIC)
    rule = replica.proxy.add(anything, fault)
    seconds = 10.0
    await bench.team.create("chat")
    await bench.team.remove("Service", "before")
    await asyncio.sleep(seconds)
    asked = Counter((str(ask), ask.name) for ask in rule.hits)
    replica.proxy.heal()
    assert all(count / seconds < 2.0 for count in asked.values()), asked
    await bench.converge("chat", *BASIC)
    await bench.converge("before", *BASIC)
    bench.expect_health([replica])


async def test_write_waits_as_long_as_the_server_asks_for(bench: FaultBench) -> None:
    replica = bench.lead()
    at: list[float] = []

    async def throttle(exchange: Exchange) -> object:
        at.append(time.monotonic())
        return await status(429, "TooManyRequests", **{"Retry-After": "2"})(exchange)

    rule = replica.proxy.add(
        lambda ask: ask.is_write and ask.name == "chat" and ask.resource == "serviceaccounts",
        throttle,  # type: ignore[arg-type]
        times=2,
    )
    await bench.team.create("chat")
    await bench.team.create("other")
    await bench.converge("other", *BASIC)
    await bench.converge("chat", *BASIC)
    assert len(rule.hits) == 2
    assert all(after - before >= 2.0 for before, after in pairwise(at))
    bench.expect_health([replica])


async def test_status_is_right_in_the_end_when_its_writes_conflict(bench: FaultBench) -> None:
    replica = bench.lead()
    conflict = status(409, "Conflict", "the object has been modified")
    rule = replica.proxy.add(lambda ask: ask.is_write and ask.subresource == "status", conflict, times=5)
    await bench.team.create("chat")
    await bench.converge("chat", *BASIC)
    assert len(rule.hits) == 5
    await bench.expect_quiet()
    bench.expect_health([replica])


@pytest.mark.thorough
async def test_refused_child_is_told_and_hinders_nobody_when_a_quota_forbids_it(bench: FaultBench) -> None:
    replica = bench.lead()
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few", "namespace": bench.team.namespace},
        "spec": {"hard": {"count/deployments.apps": "1"}},
    }
    bench.cluster.kubectl("create", "-f", "-", input=json.dumps(quota))
    _await_quota(bench.cluster, bench.team.namespace)
    await bench.team.create("first")
    await bench.converge("first", *BASIC)
    await bench.team.create("second")
    await expect_told(bench, "second", "count/deployments.apps")
    await bench.converge("second", "ServiceAccount", "Service")
    bench.audit.mark()
    await asyncio.sleep(3)
    assert len(bench.writes()) <= 1, "I4: a refused child is tried again and again"
    bench.cluster.kubectl("delete", "resourcequota", "few", "--namespace", bench.team.namespace)
    await bench.team.change(MODEL_SERVICE.kind, "second", _touch)
    await bench.converge("second", *BASIC)
    bench.expect_health([replica])


async def test_others_are_applied_and_it_is_told_when_a_kind_of_child_is_forbidden(bench: FaultBench) -> None:
    replica = bench.lead()
    forbidden = status(403, "Forbidden", 'services "chat" is forbidden: the account may not patch services')
    replica.proxy.add(lambda ask: ask.is_write and ask.resource == "services", forbidden)
    await bench.team.create("chat")
    await bench.converge("chat", "ServiceAccount", "Deployment")
    await expect_told(bench, "chat", "may not patch services")
    replica.proxy.heal()
    await bench.team.change(MODEL_SERVICE.kind, "chat", _touch)
    await bench.converge("chat", *BASIC)
    bench.expect_health([replica])


@pytest.mark.thorough
@pytest.mark.parametrize("seconds", [pytest.param(1.5, id="slow"), pytest.param(6.0, id="very-slow")])
async def test_lease_is_kept_and_work_gets_done_when_the_server_is_slow(bench: FaultBench, seconds: float) -> None:
    replica = bench.lead()
    replica.proxy.add(anything, late(seconds))
    for index in range(4):
        await bench.team.create(f"chat-{index}")
    for index in range(4):
        await bench.converge(f"chat-{index}", *BASIC, seconds=20 * seconds)
    assert replica.operator.leads()
    assert replica.operator.get("/healthz")[0] == 200
    bench.expect_one_writer()
    bench.expect_health([replica])


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(cut, id="cut-in-half", marks=pytest.mark.thorough),
        pytest.param(swallow, id="lost-answer"),
    ],
)
async def test_world_is_right_when_answers_to_writes_get_lost(bench: FaultBench, fault: Fault) -> None:
    replica = bench.lead()
    rule = replica.proxy.add(is_write, fault, times=8)
    await bench.team.create("chat")
    await bench.converge("chat", *BASIC)
    assert rule.hits
    await bench.expect_quiet()
    bench.expect_health([replica])


async def expect_told(bench: FaultBench, name: str, words: str) -> None:
    """Wait until a condition that does not hold says these words."""

    async def told() -> bool:
        body = await bench.team.get(MODEL_SERVICE.kind, name) or {}
        conditions = body.get("status", {}).get("conditions", ())
        return any(c["status"] == "False" and words in c["message"] for c in conditions)

    await until_async(told, CONVERGE_SECONDS)


def _touch(body: Body) -> None:
    body["spec"]["replicas"] = 2


def _await_quota(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("wait", "resourcequota/few", "-n", namespace, "--for=jsonpath={.status.hard}", "--timeout=20s")
