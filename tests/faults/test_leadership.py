"""Two replicas and a lease that fails in every way: never do two of them write, and soon one does."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.bench import FaultBench, Replica
from tests.faults.proxy import Ask, Fault, freeze, status
from tests.support.account import LEASE, NAMESPACE

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(400)]

BASIC = ("ServiceAccount", "Deployment", "Service")
LEASE_DURATION, RENEW_DEADLINE, RETRY_PERIOD = 6.0, 5.0, 1.5
"""Of the replicas of these tests: less than half of the default, and so is the waiting."""
SHORT = ("--lease-duration", "6", "--renew-deadline", "5", "--retry-period", "1.5")
SLACK = 20.0
"""Seconds that a busy machine may add to a bound; the bounds themselves are measured by `make bench-operator`."""


def is_lease(ask: Ask) -> bool:
    """Whether a request is about the lease."""
    return ask.resource == "leases"


def pair(bench: FaultBench) -> tuple[Replica, Replica]:
    """A leader and a standby."""
    return bench.lead(*SHORT), bench.start(*SHORT)


def await_lead(replica: Replica, seconds: float = LEASE_DURATION + RETRY_PERIOD + SLACK) -> None:
    """Wait until a replica leads."""
    replica.operator.wait(replica.operator.leads, f"{replica.operator.identity} leads", seconds)


def await_step_down(replica: Replica) -> None:
    """Wait until a replica leads no longer."""
    operator = replica.operator
    operator.wait(lambda: not operator.leads(), f"{operator.identity} stepped down", RENEW_DEADLINE + SLACK)


async def expect_work(bench: FaultBench, name: str) -> None:
    """A new ModelService gets its children, and only from who leads."""
    await bench.team.create(name)
    await bench.converge(name, *BASIC)
    bench.expect_one_writer(RENEW_DEADLINE)


@pytest.mark.thorough
async def test_standby_leads_when_the_leader_is_killed(bench: FaultBench) -> None:
    leader, standby = pair(bench)
    leader.operator.kill()
    await_lead(standby)
    await expect_work(bench, "chat")
    bench.expect_health([standby])


async def test_leader_that_was_stopped_writes_nothing_when_it_wakes(bench: FaultBench) -> None:
    leader, standby = pair(bench)
    assert leader.operator.process is not None
    pid = leader.operator.process.pid
    os.kill(pid, signal.SIGSTOP)
    for index in range(5):
        await bench.team.create(f"chat-{index}")
    await_lead(standby)
    os.kill(pid, signal.SIGCONT)
    for index in range(5):
        await bench.converge(f"chat-{index}", *BASIC)
    await_step_down(leader)
    bench.expect_one_writer(RENEW_DEADLINE)
    bench.expect_health([leader, standby])


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(status(503, "ServiceUnavailable"), id="refused"),
        pytest.param(freeze, id="never-answered", marks=pytest.mark.thorough),
        pytest.param(status(409, "Conflict"), id="conflict", marks=pytest.mark.thorough),
        pytest.param(status(403, "Forbidden"), id="forbidden", marks=pytest.mark.thorough),
    ],
)
async def test_leader_steps_down_and_another_leads_when_it_cannot_renew(bench: FaultBench, fault: Fault) -> None:
    leader, standby = pair(bench)
    leader.proxy.add(is_lease, fault)
    await_step_down(leader)
    await_lead(standby)
    await expect_work(bench, "chat")
    leader.proxy.heal()
    assert standby.operator.terminate() == 0
    await_lead(leader)
    await expect_work(bench, "later")
    bench.expect_health([leader])


def _rewrite(change: Callable[[dict[str, Any]], Any]) -> Callable[[FaultBench], Any]:
    async def rewrite(bench: FaultBench) -> None:
        path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{LEASE}"
        lease = json.loads(bench.cluster.kubectl("get", "--raw", path))
        change(lease["spec"])
        del lease["metadata"]["resourceVersion"]
        bench.cluster.kubectl("replace", "-f", "-", input=json.dumps(lease))

    return rewrite


async def _delete(bench: FaultBench) -> None:
    bench.cluster.kubectl("delete", "lease", LEASE, "--namespace", NAMESPACE)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(_delete, id="deleted"),
        pytest.param(_rewrite(lambda spec: spec.update(holderIdentity="somebody-else")), id="taken-by-a-stranger"),
        pytest.param(_rewrite(lambda spec: spec.update(renewTime="2099-01-01T00:00:00.000000Z")), id="in-the-future"),
        pytest.param(_rewrite(lambda spec: spec.update(renewTime="1999-01-01T00:00:00.000000Z")), id="in-the-past"),
        pytest.param(_rewrite(dict.clear), id="empty"),
    ],
)
async def test_one_replica_leads_again_when_the_lease_was_spoiled(bench: FaultBench, spoil: Any) -> None:
    replicas = pair(bench)
    await spoil(bench)
    seconds = 2 * LEASE_DURATION + RETRY_PERIOD + SLACK
    since = time.monotonic()
    while not any(replica.operator.leads() for replica in replicas) or time.monotonic() - since < LEASE_DURATION:
        assert time.monotonic() - since < seconds, "nobody leads"
        await asyncio.sleep(0.1)
    assert sum(replica.operator.leads() for replica in replicas) == 1
    await expect_work(bench, "chat")
    bench.expect_health(replicas)


@pytest.mark.thorough
async def test_one_replica_leads_when_three_start_together(bench: FaultBench) -> None:
    replicas = [bench.add(*SHORT) for _ in range(3)]
    for replica in replicas:
        replica.operator.launch()
    for replica in replicas:
        replica.operator.wait(replica.operator.is_ready, "it is ready", 30)
    replicas[0].operator.wait(lambda: any(r.operator.leads() for r in replicas), "one leads", 20)
    assert sum(replica.operator.leads() for replica in replicas) == 1
    await expect_work(bench, "chat")
    bench.expect_health(replicas)


@pytest.mark.thorough
async def test_work_in_flight_ends_and_the_lease_is_given_up_when_told_to_end_under_load(bench: FaultBench) -> None:
    leader, standby = pair(bench)
    for index in range(30):
        await bench.team.create(f"chat-{index}")
    assert leader.operator.terminate(25) == 0
    await_lead(standby)
    for index in range(30):
        await bench.converge(f"chat-{index}", *BASIC)
    bench.expect_one_writer(RENEW_DEADLINE)
    bench.expect_health([standby])


@pytest.mark.thorough
async def test_every_kill_leaves_less_to_do_when_it_is_killed_again_and_again(bench: FaultBench) -> None:
    for index in range(40):
        await bench.team.create(f"chat-{index}")
    replica = bench.lead()
    done = [0]
    for _ in range(10):
        await asyncio.sleep(0.3)
        replica.operator.kill()
        done.append(len(await bench.team.children()))
        replica.restart()
    assert done == sorted(done)
    for index in range(40):
        await bench.converge(f"chat-{index}", *BASIC)
    await bench.expect_quiet()
    bench.expect_health([replica])
