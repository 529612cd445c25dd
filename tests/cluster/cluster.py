"""The cluster as its users see it: one handle, whatever provides it."""

import importlib
import json
import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster import binaries, crds, providers
from tests.cluster.errors import ClusterError
from tests.cluster.state import check_name

MODES = ("node", "control-plane")


class Cluster(ABC):
    """A running cluster.

    Attributes:
        name: what it is called.
        kubeconfig: the administrator's kubeconfig.
        server_url: the API server's URL.
        host_address: where pods reach servers of this machine.
    """

    name: str
    kubeconfig: Path
    server_url: str
    host_address: str

    @staticmethod
    def up(name: str = "dev", mode: str = "node") -> "Cluster":
        """Bring the cluster up; one that is healthy already is returned at once.

        Args:
            name: lower-case letters, digits, dashes.
            mode: `node`, with a kubelet, or `control-plane`, with nothing that runs pods.

        Raises:
            ClusterError: it could not; the message has the end of the log that says why.
        """
        if mode not in MODES:
            raise ClusterError(f"mode: {mode!r} is none; use {' or '.join(MODES)}")
        return _provider(providers.choose_provider(mode)).bring_up(check_name(name), mode)

    @staticmethod
    def find(name: str) -> "Cluster":
        """The running cluster `name`.

        Raises:
            ClusterError: there is none.
        """
        for kind in providers.PROVIDERS:
            found = _provider(kind).look_up(name)
            if found is not None:
                return found
        raise ClusterError(f"cluster {name}: there is none; `python -m tests.cluster up --name {name}` makes it")

    @classmethod
    @abstractmethod
    def bring_up(cls, name: str, mode: str) -> "Cluster":
        """Make or find the cluster."""

    @classmethod
    @abstractmethod
    def look_up(cls, name: str) -> "Cluster | None":
        """The cluster when this provider has it."""

    @property
    @abstractmethod
    def audit_log(self) -> Path:
        """The API server's audit log, one JSON event a line; a file that does not exist where there is none."""

    @abstractmethod
    def down(self) -> None:
        """Remove the cluster and everything that was made for it; caches stay."""

    @abstractmethod
    def status(self) -> list[tuple[str, str]]:
        """What there is and how it is, in pairs of a name and a state."""

    @abstractmethod
    def logs(self, name: str) -> Path | None:
        """The log file of a part of the cluster."""

    @abstractmethod
    def build_image(self, tag: str, context: Path, dockerfile: Path, args: Mapping[str, str] | None = None) -> None:
        """Build an image into the cluster's nodes; nothing happens when its inputs are unchanged."""

    @abstractmethod
    def load(self, archive: Path) -> None:
        """Import an image archive (OCI layout or docker save) into the cluster's nodes."""

    @abstractmethod
    def image_digest(self, tag: str) -> str:
        """The digest of the image's content.

        Raises:
            ClusterError: the nodes do not have it.
        """

    @abstractmethod
    def has_image(self, tag: str) -> bool:
        """Whether the nodes have the image."""

    @property
    def bin(self) -> Path:
        """The folder with kubectl, and helm once it was needed."""
        return binaries.folder()

    def kubectl(self, *args: str, input: str | None = None) -> str:
        """Run kubectl against the cluster and return what it prints.

        Raises:
            ClusterError: it failed; the message has its words.
        """
        return self._run("kubectl", args, input)

    def helm(self, *args: str) -> str:
        """Run Helm against the cluster and return what it prints.

        Raises:
            ClusterError: it failed; the message has its words.
        """
        return self._run("helm", args, None)

    def set_gpus(self, count: int, resource: str = "nvidia.com/gpu") -> None:
        """Make nodes say that they have `count` GPUs: capacity for the scheduler, with no device behind it.

        Those labelled as GPU nodes say so, or every node where none is labelled.
        """
        amount = {resource: str(count)}
        patch = json.dumps({"status": {"capacity": amount, "allocatable": amount}})
        labelled = self.kubectl("get", "nodes", "-l", "nvidia.com/gpu.present=true", "-o", "name").split()
        for node in labelled or self.kubectl("get", "nodes", "-o", "name").split():
            self.kubectl("patch", node, "--subresource=status", "--type=merge", "-p", patch)

    def install_crds(self, *names: str) -> None:
        """Install real CRDs of other projects by name: see `crds.NAMES`.

        Raises:
            ClusterError: a name is unknown, or the module does not have the locked content.
        """
        for name in names:
            found = crds.manifests(name)
            document = json.dumps({"apiVersion": "v1", "kind": "List", "items": found})
            self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=document)
            targets = [f"crd/{manifest['metadata']['name']}" for manifest in found]
            self.kubectl("wait", "--for=condition=Established", "--timeout=30s", *targets)

    def _run(self, program: str, args: Sequence[str], input: str | None) -> str:
        path = binaries.ensure([program]) / program
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(
            [str(path), *args], input=input, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ClusterError(
                f"{program} {' '.join(args)}: exit code {done.returncode}\n{done.stderr.strip()}\n{done.stdout[-2000:]}"
            )
        return done.stdout


def _provider(kind: str) -> type[Cluster]:
    # The providers need the class above, so they are imported when one is wanted.
    module = importlib.import_module(f"tests.cluster.providers.{kind}")
    found: type[Cluster] = module.PROVIDER
    return found
