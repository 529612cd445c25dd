"""The node: containerd, BuildKit, kubelet, kube-proxy and CoreDNS inside the sandbox."""

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

from tests.cluster import cgroups, controlplane, dns, process, sandbox, stores
from tests.cluster.errors import ClusterError
from tests.cluster.progress import step
from tests.cluster.state import State

NODE_NAME = "node1"
PAUSE = "localhost/modelservice-pause:1"
_CNI_PLUGINS = "/usr/lib/cni"


def start_runtime(state: State, programs: Path) -> None:
    """Start containerd and BuildKit on the leased store, without waiting for them."""
    store = stores.lease(state)
    state.cgroups = [f"modelservice-{state.slot}"]
    state.save()
    for group in state.cgroups:
        cgroups.make(group)
    _write(state, "cni/10-pods.conflist", json.dumps(_cni(state)))
    _write(state, "containerd.toml", _containerd(state, store))
    _write(state, "buildkitd.toml", _buildkit(state, store))
    runtime = [str(programs / "containerd"), "--config", f"{state.folder}/containerd.toml"]
    _start_inside(state, programs, "containerd", runtime)


def await_runtime(state: State, programs: Path) -> None:
    """Wait for containerd, clear what the store's last cluster left, then start BuildKit and wait for it.

    Raises:
        ProcessDiedError: one ended.
        ClusterError: one is not ready in time.
    """
    process.wait_until(state, "containerd", lambda: _answers(state, "containerd"), 60, ["containerd"])
    stores.sweep(state, programs)
    builder = [str(programs / "buildkitd"), "--config", f"{state.folder}/buildkitd.toml"]
    _start_inside(state, programs, "buildkitd", builder)
    process.wait_until(state, "buildkitd", lambda: _answers(state, "buildkitd"), 60, ["buildkitd"])


def start_node(state: State, programs: Path) -> None:
    """Start kubelet, kube-proxy and CoreDNS, and wait until the node is ready and names resolve.

    Raises:
        ProcessDiedError: one ended.
        ClusterError: the node is not ready in time.
    """
    with step("kubelet, kube-proxy and CoreDNS"):
        _write(state, "kubelet.json", json.dumps(_kubelet(state)))
        _write(state, "kube-proxy.json", json.dumps(_kube_proxy(state)))
        _write(state, "Corefile", dns.corefile(state, _copy_resolver(state)))
        _apply(state, programs, dns.manifests(state))
        for name, command in _commands(state, programs).items():
            _start_inside(state, programs, name, command)
        probe = controlplane.ApiProbe(state)
        process.wait_until(state, f"node {NODE_NAME}", lambda: _is_ready(probe), 90, ["kubelet", "containerd"])
        process.wait_until(state, "CoreDNS", lambda: _resolves(state), 60, ["coredns", "kube-proxy"])


def _start_inside(state: State, programs: Path, name: str, command: list[str]) -> None:
    environment = {"PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin"}
    process.start(state, name, sandbox.inside(state, command), environment)


def _commands(state: State, programs: Path) -> dict[str, list[str]]:
    folder = state.folder
    kubelet = [
        str(programs / "kubelet"),
        f"--config={folder / 'kubelet.json'}",
        f"--kubeconfig={folder / 'kubelet.kubeconfig'}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={state.node_address}",
        f"--cert-dir={folder / 'kubelet-pki'}",
    ]
    proxy = [str(programs / "kube-proxy"), f"--config={folder / 'kube-proxy.json'}", f"--hostname-override={NODE_NAME}"]
    coredns = [str(programs / "coredns"), "-conf", str(folder / "Corefile")]
    return {"kubelet": kubelet, "kube-proxy": proxy, "coredns": coredns}


def _cni(state: State) -> dict[str, Any]:
    """Each pod behind a routed link of its own: services work between pods without filtering on a bridge."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": f"10.{state.slot}.128.0/23"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": "/run/cni-addresses",
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": plugins}


def _containerd(state: State, store: Path) -> str:
    return f"""version = 3
root = "{store}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
[grpc]
address = "{state.run_dir}/containerd.sock"
[ttrpc]
address = "{state.run_dir}/containerd.sock.ttrpc"
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{_CNI_PLUGINS}"]
conf_dir = "{state.folder}/cni"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{PAUSE}"
"""


def _buildkit(state: State, store: Path) -> str:
    return f"""root = "{store}/buildkit"
insecure-entitlements = ["network.host"]
[grpc]
address = ["unix://{state.run_dir}/buildkitd.sock"]
[worker.oci]
enabled = false
[worker.containerd]
enabled = true
address = "{state.run_dir}/containerd.sock"
namespace = "{stores.NAMESPACE}"
networkMode = "host"
gc = true
reservedSpace = "12GB"
maxUsedSpace = "24GB"
defaultCgroupParent = "/{state.cgroups[0]}/builds"
"""


def _kubelet(state: State) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "x509": {"clientCAFile": str(state.folder / "pki" / "ca.crt")},
            "webhook": {"enabled": True},
            "anonymous": {"enabled": False},
        },
        "authorization": {"mode": "Webhook"},
        "address": state.node_address,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{state.cgroups[0]}",
        "failSwapOn": False,
        "failCgroupV1": False,
        "containerRuntimeEndpoint": f"unix://{state.run_dir}/containerd.sock",
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        "clusterDNS": [state.dns_service],
        "clusterDomain": "cluster.local",
        "resolvConf": str(state.folder / "resolv.conf"),
        "maxPods": 250,
        "podLogsDir": str(state.folder / "log" / "pods"),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "nodeStatusUpdateFrequency": "5s",
        "registryPullQPS": 0,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
        "serializeImagePulls": False,
    }


def _kube_proxy(state: State) -> dict[str, Any]:
    """Changed endpoints are in force within a tenth of a second (the default is a second): tests often wait for it."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(state.folder / "kube-proxy.kubeconfig")},
        "clusterCIDR": state.pods,
        "nftables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
        "conntrack": {"maxPerCore": 0},
    }


def _copy_resolver(state: State) -> Path:
    """The resolver file, where the node can read it: a memory file system lies over its /run."""
    copy = state.folder / "resolv.conf"
    copy.write_text(dns.upstream().read_text())
    return copy


def _write(state: State, name: str, text: str) -> None:
    file = state.folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _answers(state: State, name: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(f"{state.run_dir}/{name}.sock")
        except OSError:
            return False
    return True


def _is_ready(probe: controlplane.ApiProbe) -> bool:
    body = probe.get(f"/api/v1/nodes/{NODE_NAME}")
    conditions = json.loads(body)["status"].get("conditions", []) if body else []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _resolves(state: State) -> bool:
    """Ask through the service's address, so that CoreDNS, kube-proxy and the routes are all proven."""
    name = b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00"
    question = b"\x07\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + name + b"\x00\x01\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)
        try:
            client.sendto(question, (state.dns_service, 53))
            answer = client.recv(512)
        except OSError:
            return False
    return answer[3] & 0x0F == 0 and answer[6:8] != b"\0\0"


def _apply(state: State, programs: Path, document: str) -> None:
    command = [str(programs / "kubectl"), "apply", "--server-side", "-f", "-"]
    environment = {**os.environ, "KUBECONFIG": str(state.kubeconfig)}
    done = subprocess.run(command, input=document, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"the cluster's DNS cannot be set up: {done.stderr.strip()}")
