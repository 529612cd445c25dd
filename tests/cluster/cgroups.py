"""The control groups of a node: one root for its pods and builds in every hierarchy, removed from the leaves up."""

import os
import time
from pathlib import Path

_MOUNT = Path("/sys/fs/cgroup")


def hierarchies() -> list[Path]:
    """The mounted hierarchies: one for the unified version 2, one for each controller of version 1."""
    if (_MOUNT / "cgroup.controllers").exists():
        return [_MOUNT]
    return sorted(folder for folder in _MOUNT.iterdir() if folder.is_dir() and not folder.is_symlink())


def make(name: str) -> None:
    """Make the group in every hierarchy. A kubelet refuses to start below a root that is not there."""
    for hierarchy in hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            own, above = group / setting, hierarchy / setting
            if own.exists() and above.exists() and not own.read_text().strip():
                own.write_text(above.read_text())


def remove(name: str, timeout: float = 10.0) -> list[Path]:
    """Remove the group with all below it.

    Returns:
        What could not be removed within `timeout` seconds, because processes are still in it.
    """
    deadline = time.monotonic() + timeout
    while True:
        left = [group for hierarchy in hierarchies() for group in _remove_tree(hierarchy / name)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def _remove_tree(group: Path) -> list[Path]:
    left = []
    for folder, _, _ in os.walk(group, topdown=False):
        try:
            Path(folder).rmdir()
        except OSError:
            left.append(Path(folder))
    return left
