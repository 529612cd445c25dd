"""Removing all that a cluster consists of, from its state file and, where that is missing, from what carries its mark."""

import shutil

from tests.cluster import process
from tests.cluster.state import clusters_root, load_state


def remove(name: str) -> None:
    """Leave nothing of the cluster but caches. Works after any crash, and when there is nothing.

    Raises:
        ClusterError: a process cannot be ended.
    """
    state = load_state(name)
    if state is not None:
        process.stop_all(state)
    shutil.rmtree(clusters_root() / name, ignore_errors=True)
