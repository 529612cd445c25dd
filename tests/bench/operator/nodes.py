"""Simulated nodes with simulated GPUs: KWOK plays their kubelets, and says of every pod at once that it is ready."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster import Cluster, ClusterError, binaries

GPUS = 128
"""Of one node."""
PODS = 512
ADDRESSES = "239.1.0.1/16"
"""Of pods. Nobody can connect to a multicast address, and no packet is sent to find that out, while controllers take it
for an address like any other; loopback ones they refuse, again and again."""
STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat/node-heartbeat.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-delete.yaml",
)


def _node(index: int) -> dict[str, Any]:
    room = {
        "nvidia.com/gpu": str(GPUS),
        "cpu": "4096",
        "memory": "16Ti",
        "ephemeral-storage": "16Ti",
        "pods": str(PODS),
    }
    name = f"kwok-{index}"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "nvidia.com/gpu.present": "true"},
        },
        "status": {"capacity": room, "allocatable": room},
    }


def _stages() -> Path:
    """The folder of KWOK's own rules, in the module that it is built from. Raises ClusterError."""
    asked = [binaries.go_program(), "mod", "download", "-json", "sigs.k8s.io/kwok"]
    folder = Path(binaries.__file__).parent / "go" / "kubernetes"
    done = subprocess.run(asked, cwd=folder, env=binaries.environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"the rules of KWOK cannot be fetched: {done.stderr.strip()}")
    return Path(json.loads(done.stdout)["Dir"]) / "kustomize" / "stage"


@contextmanager
def simulated_nodes(cluster: Cluster, gpus: int, log: Path) -> Iterator[None]:
    """Nodes with at least so many GPUs for a block; nobody listens at the pods' addresses."""
    program = binaries.ensure(["kwok"]) / "kwok"
    command = [str(program), "--kubeconfig", str(cluster.kubeconfig), "--manage-all-nodes", "--cidr", ADDRESSES]
    command += ["--node-lease-duration-seconds=0"]  # a lease that is lost for a moment would stop its node
    command += [f"--config={_stages() / each}" for each in STAGES]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent)
    try:
        nodes = {"apiVersion": "v1", "kind": "List", "items": [_node(index) for index in range(-(-gpus // GPUS))]}
        cluster.kubectl("create", "-f", "-", input=json.dumps(nodes))
        try:
            cluster.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s")
        except ClusterError as error:
            raise ClusterError(f"{error}\n{log.read_text()[-2000:]}") from error
        yield
    finally:
        process.terminate()
        process.wait(30)
