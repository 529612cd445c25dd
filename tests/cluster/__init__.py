"""Real Kubernetes clusters on this machine, for tests and for trying things out: see README.md in this folder."""

from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError

__all__ = ["Cluster", "ClusterError"]
