"""Components of the chart as processes beside a control plane, which runs no pods: with the chart's own accounts."""

import json
import socket
from collections.abc import Mapping
from pathlib import Path

import yaml

from tests.cluster import Cluster


def account_kubeconfig(cluster: Cluster, namespace: str, account: str, folder: Path) -> Path:
    """A kubeconfig in `folder` with which a process has the permissions of a ServiceAccount."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    token = cluster.kubectl("create", "token", account, "--namespace", namespace).strip()
    config["users"][0]["user"] = {"token": token}
    file = folder / f"{account}.kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


def lead_to(
    cluster: Cluster,
    namespace: str,
    service: str,
    name: str,
    ports: Mapping[str, int],
    labels: Mapping[str, str] | None = None,
) -> None:
    """Stand in for the pods of a Service: an EndpointSlice, whose labels may be more, leads it to this machine."""
    marks = {"kubernetes.io/service-name": service, "endpointslice.kubernetes.io/managed-by": "tests"}
    body = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": namespace, "labels": {**marks, **(labels or {})}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [own_address()], "conditions": {"ready": True}}],
        "ports": [{"name": port, "port": number, "protocol": "TCP"} for port, number in ports.items()],
    }
    cluster.kubectl("create", "-f", "-", input=json.dumps(body))


def own_address() -> str:
    """An address of this machine that is not a loopback one, which endpoints must not have; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


def make_pod_ready(cluster: Cluster, namespace: str, pod: str, address: str) -> None:
    """What a kubelet would do: the pod runs, is ready and has an address."""
    status = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    patch = ("--subresource=status", "-p", json.dumps({"status": status}))
    cluster.kubectl("patch", "pod", pod, "-n", namespace, *patch)
