"""Scaling on inference metrics with nothing but Kubernetes: the chart's adapter behind the real aggregation layer.

The adapter runs as a process here, because a control plane runs no pods; its permissions, its certificate and its
registration are those that the chart makes. Pods are those of the real Deployment controller, with a real HTTP server
in place of each one's admin port, and the autoscaler is the real one.
"""

import asyncio
import base64
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster, ClusterError
from tests.support.admin_ports import AdminPort, exposition, loopback_network
from tests.support.components import account_kubeconfig, lead_to, make_pod_ready
from tests.support.operators import ROOT, Operators
from tests.support.polling import until_async, wait_until
from tests.support.ports import free_port
from tests.support.team import Team

pytestmark = pytest.mark.control_plane

CHART = ROOT / "charts" / "modelservice"
OPTIONS = ("--set", "metricsAdapter.enabled=true,crds.install=false,profiles=null")
NAME = "metrics-modelservice-metrics-adapter"
SCALED = {
    "minReplicas": 1,
    "maxReplicas": 3,
    "metrics": [{"type": "QueueDepth", "target": "4"}],
    "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
}


@dataclass
class Adapter:
    """A release of the chart, and its adapter as a process."""

    cluster: Cluster
    folder: Path
    namespace: str = field(default_factory=lambda: f"adapter-{uuid.uuid4().hex[:6]}")
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        self.cluster.kubectl("create", "namespace", self.namespace)
        self.cluster.helm("install", "metrics", str(CHART), "--namespace", self.namespace, *OPTIONS)
        self._write_certificate()
        port, health = free_port(), free_port()
        command = [sys.executable, "-m", "modelservice_operator", "metrics-adapter", "--namespace", self.namespace]
        kubeconfig = account_kubeconfig(self.cluster, self.namespace, NAME, self.folder)
        command += ["--kubeconfig", str(kubeconfig), "--service", NAME, "--tls-folder", str(self.folder)]
        command += ["--port", str(port), "--listen-port", str(health)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env=environment)
        lead_to(self.cluster, self.namespace, NAME, "adapter", {"https": port})
        wait_until(self.is_available, f"the adapter is available; {self.folder / 'log'}", 40)

    def is_available(self) -> bool:
        said = self.cluster.kubectl("get", "apiservice", "v1beta2.custom.metrics.k8s.io", "-o", "json")
        conditions = json.loads(said).get("status", {}).get("conditions", [])
        return any(each["type"] == "Available" and each["status"] == "True" for each in conditions)

    def certificate(self) -> dict[str, str]:
        """What the chart's Secret holds, and with it the authority that is registered."""
        said = self.cluster.kubectl("get", "secret", f"{NAME}-tls", "-n", self.namespace, "-o", "json")
        registered = self.cluster.kubectl("get", "apiservice", "v1beta2.custom.metrics.k8s.io", "-o", "json")
        data: dict[str, str] = json.loads(said)["data"]
        return {**data, "registered": json.loads(registered)["spec"]["caBundle"]}

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
        self.cluster.helm("uninstall", "metrics", "--namespace", self.namespace)
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def _write_certificate(self) -> None:
        for name, text in self.certificate().items():
            (self.folder / name).write_bytes(base64.b64decode(text))


@pytest.fixture
def adapter(served_control_plane: Cluster, tmp_path: Path) -> Iterator[Adapter]:
    found = Adapter(served_control_plane, tmp_path)
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture
def ports() -> Iterator[list[AdminPort]]:
    network, found = loopback_network(), []
    for number in range(1, 4):
        found.append(AdminPort(f"{network}.{number}", exposition(0)))
    yield found
    for port in found:
        port.close()


def _pods(cluster: Cluster, team: Team, name: str = "chat") -> list[dict[str, Any]]:
    said = cluster.kubectl("get", "pods", "-n", team.namespace, "-l", f"modelservice.dev/name={name}", "-o", "json")
    items: list[dict[str, Any]] = json.loads(said)["items"]
    return items


def _make_ready(cluster: Cluster, team: Team, ports: list[AdminPort]) -> None:
    """Every pod runs, is ready and has the address of one of the ports."""
    taken = {pod["status"].get("podIP") for pod in _pods(cluster, team)}
    free = [port for port in ports if port.address not in taken]
    for pod in _pods(cluster, team):
        if not pod["status"].get("podIP"):
            make_pod_ready(cluster, team.namespace, pod["metadata"]["name"], free.pop().address)


async def _expect_replicas(team: Team, number: int, name: str = "chat") -> None:
    async def so() -> bool:
        deployment = await team.get("Deployment", name)
        return deployment is not None and deployment["status"].get("replicas") == number

    await until_async(so, 60, pause=0.2)


def _ask(cluster: Cluster, team: Team, metric: str) -> list[str]:
    path = f"/apis/custom.metrics.k8s.io/v1beta1/namespaces/{team.namespace}/pods/*/{metric}"
    return [item["value"] for item in json.loads(cluster.kubectl("get", "--raw", path))["items"]]


async def test_service_grows_and_shrinks_with_its_queue(
    adapter: Adapter, operators: Operators, team: Team, ports: list[AdminPort]
) -> None:
    cluster = adapter.cluster
    operators.start_leader()
    await team.create("chat", autoscaling=SCALED)
    await _expect_replicas(team, 1)
    for port in ports:
        port.text = exposition(10)
    _make_ready(cluster, team, ports)
    await _expect_replicas(team, 3)
    await team.expect_condition("chat", "AutoscalerReady", "True", "ScalingActive", seconds=20)
    assert ports[-1].asked > 0

    assert _ask(cluster, team, "inference_requests_queued") == ["10"]
    tokens = "inference_tokens_per_second?metricLabelSelector=direction%3Dprompt"
    await asyncio.to_thread(wait_until, lambda: _ask(cluster, team, tokens) == ["0"], "a second reading")

    for port in ports:
        port.text = exposition(0)
    _make_ready(cluster, team, ports)
    await _expect_replicas(team, 1)
    await _expect_other_server_to_grow(cluster, team, ports[0].address)

    before = adapter.certificate()
    cluster.helm("upgrade", "metrics", str(CHART), "--namespace", adapter.namespace, *OPTIONS)
    assert adapter.certificate() == before
    assert before["registered"] == before["ca.crt"]
    with pytest.raises(ClusterError, match="already serves custom"):
        cluster.helm("install", "second", str(CHART), "--namespace", team.namespace, *OPTIONS)


async def _expect_other_server_to_grow(cluster: Cluster, team: Team, address: str) -> None:
    """A server of another make has its metrics elsewhere and calls them otherwise; the same field scales it."""
    engine = AdminPort(address, "# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting 7\n", 0)
    metrics = {"port": engine.port, "path": "/engine", "queueDepth": "vllm:num_requests_waiting"}
    spec = {"image": "registry.example.com/vllm:1", "server": {"metrics": metrics}}
    profile = {"apiVersion": "modelservice.dev/v1alpha1", "kind": "RuntimeProfile", "spec": spec}
    profile["metadata"] = {"name": team.namespace}
    cluster.kubectl("apply", "-f", "-", input=json.dumps(profile))
    try:
        await team.create("other", autoscaling=SCALED, runtime={"profileRef": {"name": team.namespace}})
        await _expect_replicas(team, 1, "other")
        (pod,) = _pods(cluster, team, "other")
        make_pod_ready(cluster, team.namespace, pod["metadata"]["name"], address)
        await _expect_replicas(team, 2, "other")
        assert _ask(cluster, team, "vllm:num_requests_waiting") == ["7"]
        assert engine.path == "/engine"
    finally:
        engine.close()
        cluster.kubectl("delete", "runtimeprofile", team.namespace)


async def test_missing_adapter_is_told_and_the_service_goes_on(
    operators: Operators, team: Team, served_control_plane: Cluster
) -> None:
    operators.start_leader()
    await team.create("chat", autoscaling=SCALED)
    await _expect_replicas(team, 1)
    told = await team.expect_condition("chat", "AutoscalerReady", "False", "MetricsUnavailable", seconds=30)
    assert "inference_requests_queued" in told["message"] or "metrics API" in told["message"]
