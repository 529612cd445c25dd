"""Clusters made of processes on this machine, without a container engine."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.cluster import binaries, cleanup, controlplane, images, network, node, packages, pki, process, sandbox
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.progress import say, step
from tests.cluster.state import State, all_states, clusters_root, load_state, locked


class LocalCluster(Cluster):
    """A cluster of provider `local`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.name = state.name
        self.kubeconfig = state.kubeconfig
        self.server_url = state.server_url
        self.host_address = state.host_address if state.mode == "node" else "127.0.0.1"

    @classmethod
    def look_up(cls, name: str) -> "LocalCluster | None":
        """The cluster when its state says that it was brought up."""
        state = load_state(name)
        return cls(state) if state is not None and state.ready else None

    @classmethod
    def bring_up(cls, name: str, mode: str) -> "LocalCluster":
        """Make the cluster, or return it when it is healthy; after a crash, start an empty one."""
        with locked(f"cluster-{name}"):
            state = load_state(name)
            if state is not None and state.ready and _is_healthy(state):
                if state.mode != mode and mode == "node":
                    raise ClusterError(
                        f"cluster {name} runs as {state.mode}; bring it down first, or choose another name"
                    )
                return cls(state)
            if (clusters_root() / name).exists():
                say(f"cluster {name} is there but not healthy: removing what is left of it, and starting an empty one")
                cleanup.remove(name)
            if mode == "node":
                _check_machine()
            programs = binaries.ensure(binaries.NODE if mode == "node" else binaries.CONTROL_PLANE)
            state = _reserve(name, mode)
            try:
                _start(state, programs)
            except BaseException:
                _keep_logs(state)
                cleanup.remove(name)
                raise
            return cls(state)

    @property
    def audit_log(self) -> Path:
        """The file that the API server writes."""
        return self._state.audit_log

    def down(self) -> None:
        """Remove the cluster."""
        with locked(f"cluster-{self.name}"):
            cleanup.remove(self.name)

    def status(self) -> list[tuple[str, str]]:
        """The cluster's facts, then each process."""
        facts = [("mode", self._state.mode), ("server", self.server_url), ("kubeconfig", str(self.kubeconfig))]
        facts += [("healthy", "yes" if _is_healthy(self._state) else "no")]
        running = [
            (child.name, f"pid {child.pid}" if process.is_alive(child) else "ended") for child in self._state.children
        ]
        return facts + running

    def logs(self, name: str) -> Path | None:
        """The log of one process."""
        file = process.log_file(self._state, name)
        return file if file.exists() else None

    def build_image(self, tag: str, context: Path, dockerfile: Path, args: Mapping[str, str] | None = None) -> None:
        """Build with BuildKit into the kubelet's store."""
        images.build_image(self._node(), tag, context.resolve(), dockerfile.resolve(), args or {})

    def load(self, archive: Path) -> None:
        """Import into the kubelet's store."""
        images.load(self._node(), archive.resolve())

    def image_digest(self, tag: str) -> str:
        """The digest in the kubelet's store."""
        return images.image_digest(self._node(), tag)

    def has_image(self, tag: str) -> bool:
        """Whether the kubelet's store has it."""
        return images.has_image(self._node(), tag)

    def _node(self) -> State:
        if self._state.mode != "node":
            raise ClusterError(f"cluster {self.name} has no node, so no images; bring it up with --mode node")
        return self._state


def _is_healthy(state: State) -> bool:
    return all(process.is_alive(child) for child in state.children) and controlplane.ApiProbe(state).answers("/readyz")


def _check_machine() -> None:
    """Have what a node needs of the machine.

    Raises:
        ClusterError: the user is not root, or a program is missing and cannot be installed.
    """
    if os.geteuid() != 0:
        raise ClusterError(
            "node: a local node needs root (namespaces, links, mounts); run as root, or start a Docker engine for kind"
        )
    packages.ensure(packages.NODE)


def _reserve(name: str, mode: str) -> State:
    """Choose what no other cluster has, and write it down before anybody else can choose."""
    with locked("allocate"):
        others = all_states()
        slot = network.choose_slot({other.slot for other in others}, network.machine_networks())
        ports = network.choose_ports(controlplane.PORTS, {port for other in others for port in other.ports.values()})
        state = State(name=name, mode=mode, slot=slot, ports=ports, token=str(clusters_root() / name))
        state.save()
    return state


def _start(state: State, programs: Path) -> None:
    if state.mode == "node":
        with step("namespaces and links"):
            sandbox.open_sandbox(state)
        node.start_runtime(state, programs)
    with step("keys and certificates"):
        pki.write_keys(state, node.NODE_NAME)
    controlplane.start_control_plane(state, programs)
    if state.mode == "node":
        with step("containerd and BuildKit"):
            node.await_runtime(state, programs)
        images.ensure_pause(state)
        node.start_node(state, programs)
    state.ready = True
    state.save()


def _keep_logs(state: State) -> None:
    """Keep the logs of a failed start where the next one does not remove them."""
    logs, kept = state.folder / "log", clusters_root().parent / "failed" / state.name
    if logs.is_dir():
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(logs, kept)
        say(f"the logs are kept in {kept}")


def remove_any(name: str) -> None:
    """Remove the cluster `name`, whichever provider has it, also one that never came up."""
    if (clusters_root() / name).exists():
        with locked(f"cluster-{name}"):
            cleanup.remove(name)
        return
    try:
        Cluster.find(name).down()
    except ClusterError:
        say(f"there is no cluster {name}")


PROVIDER = LocalCluster
