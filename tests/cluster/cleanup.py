"""Removing all that a cluster consists of, from its state file."""

import os
import shutil
from pathlib import Path

from tests.cluster import cgroups, process, sandbox
from tests.cluster.errors import ClusterError
from tests.cluster.state import State, clusters_root, load_state


def remove(name: str) -> None:
    """Leave nothing of the cluster but caches. Works after any crash, and when there is nothing.

    Raises:
        ClusterError: a process cannot be ended, or something is still mounted or busy.
    """
    state = load_state(name)
    if state is not None:
        process.stop_all(state)
        _remove_node(state)
    else:
        process.stop_marked(str(clusters_root() / name))
    shutil.rmtree(clusters_root() / name, ignore_errors=True)


def _remove_node(state: State) -> None:
    if not state.run_dir:
        return
    sandbox.close_sandbox(state)
    busy = [str(group) for name in state.cgroups for group in cgroups.remove(name)]
    if busy:
        raise ClusterError(f"cluster {state.name}: control groups {', '.join(busy[:5])} still have processes")
    for folder in (Path(state.run_dir), state.folder):
        mounted = mounts_below(folder)
        if mounted:
            raise ClusterError(
                f"cluster {state.name}: {', '.join(mounted[:5])} is still mounted; `umount` it, then `down` again"
            )
    shutil.rmtree(state.run_dir, ignore_errors=True)


def mounts_below(folder: Path) -> list[str]:
    """What is mounted at or below the folder. Deleting through a mount would delete what belongs to somebody else."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if point == str(folder) or point.startswith(f"{folder}{os.sep}")]
