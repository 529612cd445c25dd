"""Clusters that kind makes in containers of a Docker-compatible engine, from the top-level kind-config.yaml."""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.cluster import binaries
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.progress import say, step
from tests.cluster.providers import engine_answers
from tests.cluster.state import cache_root, locked

_ROOT = Path(__file__).resolve().parents[3]


class KindCluster(Cluster):
    """A cluster of provider `kind`: nodes are containers, images come from the engine's own builder."""

    def __init__(self, name: str) -> None:
        self.name = name
        folder = cache_root() / "kind" / name
        folder.mkdir(parents=True, exist_ok=True)
        self.kubeconfig = folder / "kubeconfig"
        if not self.kubeconfig.exists():
            _kind("export", "kubeconfig", "--name", name, "--kubeconfig", str(self.kubeconfig))
        self.server_url = self.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
        self.host_address = _docker(
            "network", "inspect", "kind", "-f", "{{range .IPAM.Config}}{{.Gateway}} {{end}}"
        ).split()[-1]

    @classmethod
    def look_up(cls, name: str) -> "KindCluster | None":
        """The cluster when kind lists it."""
        if not engine_answers() or name not in _kind("get", "clusters").split():
            return None
        return cls(name)

    @classmethod
    def bring_up(cls, name: str, mode: str) -> "KindCluster":
        """Create the cluster, or return it when kind lists it and its API server answers."""
        if mode != "node":
            raise ClusterError("mode: kind has no control plane without a node; use MODELSERVICE_CLUSTER=local")
        if not engine_answers():
            raise ClusterError(
                "kind: `docker info` does not answer; start the engine, or set MODELSERVICE_CLUSTER=local"
            )
        with locked(f"kind-{name}"):
            found = cls.look_up(name)
            if found is not None and found._answers():
                return found
            kubeconfig = cache_root() / "kind" / name / "kubeconfig"
            kubeconfig.unlink(missing_ok=True)
            _kind("delete", "cluster", "--name", name)
            with step(f"kind create cluster {name}"):
                config = str(_ROOT / "kind-config.yaml")
                _kind(
                    "create",
                    "cluster",
                    "--name",
                    name,
                    "--config",
                    config,
                    "--kubeconfig",
                    str(kubeconfig),
                    "--wait",
                    "180s",
                )
            return cls(name)

    @property
    def audit_log(self) -> Path:
        """The log as it is now, copied out of the control plane's container."""
        copy = self.kubeconfig.with_name("audit.log")
        _docker("cp", f"{self.name}-control-plane:/var/log/kubernetes/audit/audit.log", str(copy))
        return copy

    def down(self) -> None:
        """Delete the cluster."""
        _kind("delete", "cluster", "--name", self.name)
        self.kubeconfig.unlink(missing_ok=True)

    def status(self) -> list[tuple[str, str]]:
        """The nodes' containers."""
        nodes = [(node, "running") for node in self._nodes()]
        return [("mode", "kind"), ("server", self.server_url), ("kubeconfig", str(self.kubeconfig)), *nodes]

    def logs(self, name: str) -> Path | None:
        """Export kind's logs and return the first whose name contains `name`."""
        folder = self.kubeconfig.parent / "logs"
        _kind("export", "logs", str(folder), "--name", self.name)
        return next((file for file in sorted(folder.rglob("*")) if file.is_file() and name in file.name), None)

    def build_image(self, tag: str, context: Path, dockerfile: Path, args: Mapping[str, str] | None = None) -> None:
        """Build with the engine, then load into the nodes unless they have that very image."""
        pairs = [word for key, value in (args or {}).items() for word in ("--build-arg", f"{key}={value}")]
        with step(f"image {tag}"):
            _docker("build", "-t", tag, "-f", str(dockerfile), *pairs, str(context))
            if (
                self.has_image(tag)
                and self.image_digest(tag) == _docker("image", "inspect", tag, "-f", "{{.Id}}").strip()
            ):
                say(f"{tag} is in the nodes already")
                return
            with tempfile.TemporaryDirectory() as folder:
                archive = Path(folder) / "image.tar"
                _docker("save", "-o", str(archive), tag)
                self.load(archive)

    def load(self, archive: Path) -> None:
        """Import an archive into every node."""
        _kind("load", "image-archive", str(archive), "--name", self.name)

    def has_image(self, tag: str) -> bool:
        """Whether the first node has the image."""
        return bool(_docker("exec", self._nodes()[0], "crictl", "images", "-q", tag).strip())

    def image_digest(self, tag: str) -> str:
        """The image's id in the first node."""
        found = _docker("exec", self._nodes()[0], "crictl", "images", "-q", "--no-trunc", tag).split()
        if not found:
            raise ClusterError(f"image {tag}: the nodes of {self.name} do not have it; build or load it first")
        return found[0]

    def _nodes(self) -> list[str]:
        return sorted(_kind("get", "nodes", "--name", self.name).split())

    def _answers(self) -> bool:
        try:
            self.kubectl("get", "--raw", "/readyz")
        except ClusterError:
            return False
        return True


def _kind(*args: str) -> str:
    return _run([str(binaries.ensure(["kind"]) / "kind"), *args])


def _docker(*args: str) -> str:
    return _run(["docker", *args])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, cwd=_ROOT, env=os.environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr[-4000:].strip()}")
    return done.stdout


PROVIDER = KindCluster
