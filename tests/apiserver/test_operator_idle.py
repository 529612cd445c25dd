"""To zero and back on a real API server, with its controllers of Deployments and HorizontalPodAutoscalers.

The activator is a process here, with the account and the permissions that the chart makes; its pods, and those of the
model, are stood in for by endpoints that lead to this machine.
"""

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from modelservice_operator.api.activator import ACTIVITY_PATH
from modelservice_operator.kube.resources import MODEL_SERVICE
from tests.cluster import Cluster
from tests.support.admin_ports import AdminPort, exposition, loopback_network
from tests.support.audit import describe
from tests.support.components import account_kubeconfig, lead_to, make_pod_ready, own_address
from tests.support.operators import ROOT, Operators
from tests.support.polling import until_async
from tests.support.ports import free_port
from tests.support.team import Team

pytestmark = pytest.mark.control_plane

SCALING = {"minReplicas": 0, "maxReplicas": 3, "idle": {"scaleToZeroAfterSeconds": 3}}
OPTIONS = ("--set", "activator.enabled=true,activator.replicas=1,crds.install=false,profiles=null")
NAME = "door-modelservice-activator"
PORTS = 8
OURS = {"app.kubernetes.io/managed-by": "modelservice-operator", "modelservice.dev/name": "chat"}


@pytest.fixture
def port() -> Iterator[AdminPort]:
    found = AdminPort(f"{loopback_network()}.1", exposition(0, running=1, finished=0))
    yield found
    found.close()


async def _replicas(team: Team) -> Any:
    deployment = await team.get("Deployment", "chat")
    return None if deployment is None else deployment["spec"]["replicas"]


async def _expect_replicas(team: Team, number: int) -> None:
    async def so() -> bool:
        return await _replicas(team) == number

    await until_async(so, 20, pause=0.1)


async def _make_ready(cluster: Cluster, team: Team, address: str) -> None:
    def names() -> list[str]:
        selector = ("-l", "modelservice.dev/name=chat", "-o", "jsonpath={.items[*].metadata.name}")
        return cluster.kubectl("get", "pods", "-n", team.namespace, *selector).split()

    async def there() -> bool:
        return len(names()) == 1

    await until_async(there, 20)
    make_pod_ready(cluster, team.namespace, names()[0], address)


@pytest.mark.field("autoscaling.idle.scaleToZeroAfterSeconds")
async def test_quiet_service_goes_to_zero_and_comes_back_when_it_is_scaled(
    operators: Operators, team: Team, served_control_plane: Cluster, port: AdminPort
) -> None:
    operators.start_leader()
    await team.create("chat", autoscaling=SCALING)
    await _expect_replicas(team, 1)
    await _make_ready(served_control_plane, team, port.address)

    busy_until = port.asked + 7

    async def was_asked() -> bool:
        return port.asked > busy_until

    await until_async(was_asked, 20)
    assert await _replicas(team) == 1, "a request is under way"

    port.text = exposition(0, finished=1)
    await _expect_replicas(team, 0)
    told = await team.expect_condition("chat", "Idle", "True", "NoActivator")
    assert "for 3 s" in told["message"]
    assert "kubectl scale deployment/chat" in told["message"]
    await team.expect_condition("chat", "Ready", "False", "ScaledToZero")

    async def autoscaler_rests() -> bool:
        autoscaler = await team.get("HorizontalPodAutoscaler", "chat")
        conditions = (autoscaler or {}).get("status", {}).get("conditions", [])
        return any(each["reason"] == "ScalingDisabled" for each in conditions)

    await until_async(autoscaler_rests, 30)
    await team.quiet()
    operators.audit.mark()
    await team.quiet(2.0)
    assert describe(operators.audit.writes()) == []
    assert await _replicas(team) == 0

    port.text = exposition(0, running=1, finished=1)
    served_control_plane.kubectl("scale", "deployment/chat", "-n", team.namespace, "--replicas=1")
    await team.expect_condition("chat", "RuntimeReady", "False", "Starting", seconds=20)
    assert await team.condition("chat", "Idle") == {}
    await _make_ready(served_control_plane, team, port.address)

    async def serves() -> bool:
        deployment = await team.get("Deployment", "chat")
        return deployment is not None and deployment["status"].get("readyReplicas") == 1

    await until_async(serves, 20)
    assert await _replicas(team) == 1


@dataclass
class Door:
    """A release of the chart, and its activator as a process."""

    cluster: Cluster
    folder: Path
    namespace: str = field(default_factory=lambda: f"door-{uuid.uuid4().hex[:6]}")
    first: int = field(default_factory=free_port)
    pages: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        self.cluster.kubectl("create", "namespace", self.namespace)
        self.cluster.helm("install", "door", str(ROOT / "charts" / "modelservice"), "-n", self.namespace, *OPTIONS)
        kubeconfig = account_kubeconfig(self.cluster, self.namespace, NAME, self.folder)
        command = [sys.executable, "-m", "modelservice_operator", "activator", "--kubeconfig", str(kubeconfig)]
        command += ["--first-port", str(self.first), "--ports", str(PORTS), "--listen-port", str(self.pages)]
        command += ["--max-held", "20", "--retry-after-seconds", "4"]
        with (self.folder / "activator.log").open("wb") as log:
            environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env=environment)
        lead_to(self.cluster, self.namespace, NAME, "activator", {"metrics": self.pages})

    def flags(self) -> tuple[str, ...]:
        """Flags of an operator that knows this activator."""
        told = ("--activator-first-port", str(self.first), "--activator-ports", str(PORTS))
        return ("--namespace", self.namespace, "--activator-service", NAME, *told)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
        self.cluster.helm("uninstall", "door", "-n", self.namespace)
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")


@pytest.fixture
def door(served_control_plane: Cluster, tmp_path: Path) -> Iterator[Door]:
    found = Door(served_control_plane, tmp_path)
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture
async def model() -> AsyncIterator[int]:
    """The port of a server that answers in the place of the model's pod."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"answer": await request.text()})

    app = web.Application()
    app.router.add_post("/v1/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    number = free_port()
    await web.TCPSite(runner, port=number).start()
    yield number
    await runner.cleanup()


async def _door_of(team: Team) -> tuple[list[str], int]:
    """Where the service's door leads, and its port."""
    found = await team.get("EndpointSlice", "chat-activator")
    if found is None:
        return [], 0
    addresses = [address for each in found["endpoints"] or [] for address in each["addresses"]]
    return addresses, int(found["ports"][0]["port"])


async def _expect_door(team: Team, addresses: list[str], seconds: float = 20) -> int:
    async def so() -> bool:
        return await _door_of(team) == (addresses, (await _door_of(team))[1]) and (await _door_of(team))[1] > 0

    await until_async(so, seconds, pause=0.1)
    return (await _door_of(team))[1]


async def test_requests_are_held_from_zero_and_the_way_through_the_activator_is_shut_while_there_is_a_pod(
    door: Door, operators: Operators, team: Team, served_control_plane: Cluster, port: AdminPort, model: int
) -> None:
    here = own_address()

    async def ask(number: int) -> tuple[int, str, Any]:
        url = f"http://{here}:{at}/v1/completions"
        async with client.post(url, data=f"question {number}") as answer:
            return answer.status, answer.headers.get("Retry-After", ""), (await answer.json()).get("answer")

    async def held() -> dict[str, Any]:
        async with client.get(f"http://127.0.0.1:{door.pages}{ACTIVITY_PATH}") as page:
            found: dict[str, Any] = await page.json()
            return found.get(f"{team.namespace}/chat", {})

    operators.start_leader(*door.flags())
    await team.create("chat", autoscaling=SCALING)
    at = await _expect_door(team, [here])
    async with aiohttp.ClientSession() as client:
        early = asyncio.create_task(ask(0))
        await until_async(lambda: _is(held(), {"held": 1, "forwarding": 0}), 10)
        await _make_ready(served_control_plane, team, port.address)
        lead_to(served_control_plane, team.namespace, "chat", "chat-pods", {"http": model}, OURS)
        assert await early == (200, "", "question 0")
        assert await _expect_door(team, []) == at

        port.text = exposition(0, finished=1)
        assert await _expect_door(team, [here]) == at
        await _expect_replicas(team, 0)
        told = await team.expect_condition("chat", "Idle", "True", "ScaledToZero")
        assert "held" in told["message"]
        served_control_plane.kubectl("delete", "endpointslice", "chat-pods", "-n", team.namespace)

        asked = [asyncio.create_task(ask(number)) for number in range(20)]
        await until_async(lambda: _is(held(), {"held": 20, "forwarding": 0}), 10)
        assert (await ask(21))[:2] == (503, "4")
        await _expect_replicas(team, 1)
        await team.expect_condition("chat", "RuntimeReady", "False", "Starting", seconds=20)
        await _make_ready(served_control_plane, team, port.address)
        lead_to(served_control_plane, team.namespace, "chat", "chat-pods", {"http": model}, OURS)
        assert await asyncio.gather(*asked) == [(200, "", f"question {number}") for number in range(20)]
        await _expect_door(team, [])
        assert await _replicas(team) == 1

        await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"]["autoscaling"].update(minReplicas=1))
        await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"]["autoscaling"].pop("idle"))
        await until_async(lambda: _is(team.get("EndpointSlice", "chat-activator"), None), 10)


async def _is(found: Any, wanted: Any) -> bool:
    return bool(await found == wanted)
