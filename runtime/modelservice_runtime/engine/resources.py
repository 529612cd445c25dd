"""What this process may use, as the control groups see it.

`os.cpu_count()` tells the machine, not the container: a pod limited to 2 CPUs on a 64-core node that starts 64 compute
threads spends its quota on spinning and is throttled for the rest of each period. The quota and the memory limit are
therefore read from the control group of the process (v2, else v1) and from its CPU affinity.
"""

import os
from dataclasses import dataclass
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc")
UNLIMITED_BYTES = 1 << 60


@dataclass(frozen=True, slots=True)
class Resources:
    """CPUs that may run at the same time, and bytes of memory before the kernel kills the process."""

    cpus: int
    memory_bytes: int


def read_resources(cgroup_root: Path = CGROUP_ROOT, proc: Path = PROC) -> Resources:
    """Read the affinity, the CPU quota and the memory limit of this process."""
    folders = _own_folders(cgroup_root, proc)
    quotas = [quota for folder in folders if (quota := _cpu_quota(folder)) is not None]
    limits = [limit for folder in folders if (limit := _memory_limit(folder)) is not None]
    affinity = len(os.sched_getaffinity(0))
    cpus = max(1, min(affinity, int(min(quotas, default=affinity))))
    return Resources(cpus, min([_machine_memory(proc), *limits]))


def _own_folders(root: Path, proc: Path) -> list[Path]:
    """Return the folders whose limits hold for this process: its own control group and all above it."""
    folders = {root, root / "cpu", root / "memory"}
    for line in _read(proc / "self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        base = root / controllers.split(",")[0] if controllers else root
        for folder in ([base / path.lstrip("/"), *(base / path.lstrip("/")).parents]) if path != "/" else [base]:
            if folder.is_relative_to(root):
                folders.add(folder)
    return sorted(folders)


def _cpu_quota(folder: Path) -> float | None:
    quota, _, period = _read(folder / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    if not quota.lstrip("-").isdigit() or not period.isdigit() or int(quota) <= 0:
        return None
    return int(quota) / int(period)


def _memory_limit(folder: Path) -> int | None:
    text = _read(folder / "memory.max") or _read(folder / "memory.limit_in_bytes")
    return int(text) if text.isdigit() and int(text) < UNLIMITED_BYTES else None


def _machine_memory(proc: Path) -> int:
    for line in _read(proc / "meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return UNLIMITED_BYTES


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
