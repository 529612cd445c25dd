"""A cluster that somebody else made: whatever the current kubeconfig points to. Nothing of it is ever taken down."""

import os
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.state import cache_root

_NO_NODES = (
    "the harness cannot reach the nodes of an existing cluster; push the image to a registry that they pull from"
)


class ExistingCluster(Cluster):
    """The cluster of the current kubeconfig."""

    def __init__(self, name: str) -> None:
        self.name = name
        given = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
        self.kubeconfig = Path(given) if given else Path.home() / ".kube" / "config"
        if not self.kubeconfig.exists():
            raise ClusterError(
                f"MODELSERVICE_CLUSTER=existing: {self.kubeconfig} does not exist; set KUBECONFIG to the cluster's file"
            )
        self.server_url = self.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
        self.host_address = os.environ.get("MODELSERVICE_HOST_ADDRESS", "127.0.0.1")

    @classmethod
    def look_up(cls, name: str) -> "ExistingCluster | None":
        """The cluster when MODELSERVICE_CLUSTER asks for it."""
        return cls(name) if os.environ.get("MODELSERVICE_CLUSTER") == "existing" else None

    @classmethod
    def bring_up(cls, name: str, mode: str) -> "ExistingCluster":
        """Check that the cluster answers.

        Raises:
            ClusterError: it does not.
        """
        cluster = cls(name)
        cluster.kubectl("get", "--raw", "/readyz")
        return cluster

    @property
    def audit_log(self) -> Path:
        """A file that does not exist: the log is the owner's."""
        return cache_root() / "existing" / "audit.log"

    def down(self) -> None:
        """Leave the cluster as it is: it is not ours."""

    def status(self) -> list[tuple[str, str]]:
        """What the cluster says of its nodes."""
        nodes = self.kubectl("get", "nodes", "--no-headers").splitlines()
        return [
            ("mode", "existing"),
            ("server", self.server_url),
            *[(line.split()[0], line.split()[1]) for line in nodes],
        ]

    def logs(self, name: str) -> Path | None:
        """None: the logs are the owner's."""
        return None

    def build_image(self, tag: str, context: Path, dockerfile: Path, args: Mapping[str, str] | None = None) -> None:
        """Refused."""
        raise ClusterError(f"build-image {tag}: {_NO_NODES}")

    def load(self, archive: Path) -> None:
        """Refused."""
        raise ClusterError(f"load {archive}: {_NO_NODES}")

    def has_image(self, tag: str) -> bool:
        """Whether a node lists the image in its status (the kubelet lists the largest fifty)."""
        return tag in self._listed()

    def image_digest(self, tag: str) -> str:
        """The tag itself: an existing cluster's images are identified by their registry."""
        return tag

    def _listed(self) -> set[str]:
        return set(self.kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.images[*].names[*]}").split())


PROVIDER = ExistingCluster
