"""Which machine this is, and how much of it others used meanwhile."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_tile")
MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ *(.*)")
CUDA_PARTS = ("/nvidia/", "cuda")
FOREIGN_LIMIT = 0.10
"""Share of the CPUs above which a turn counts as disturbed."""


def describe() -> str:
    """Return the CPU's name, count and what matters to inference of what it can do."""
    pairs = [line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line]
    fields = {key.strip(): value.strip() for key, value in pairs}
    flags = fields.get("flags", fields.get("Features", "")).split()
    able = [feature for feature in FEATURES if feature in flags]
    lacks = [feature for feature in FEATURES if feature not in flags]
    name = fields.get("model name", "unknown CPU")
    memory = psutil.virtual_memory().total / 2**30
    return f"{name}, {os.cpu_count()} CPUs, {memory:.0f} GiB; has {', '.join(able)}; lacks {', '.join(lacks) or 'none'}"


def has_bfloat16() -> bool:
    """Tell whether the CPU multiplies bfloat16 itself."""
    text = Path("/proc/cpuinfo").read_text()
    return "avx512_bf16" in text or "amx_bf16" in text


class Foreign:
    """CPU used by others than this process and its descendants."""

    def __init__(self) -> None:
        self.shares: list[float] = []

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Note the share of all CPUs that others used during a block."""
        busy, own, since = _busy(), _own(), time.monotonic()
        yield
        capacity = (time.monotonic() - since) * (os.cpu_count() or 1)
        self.shares.append(max(0.0, (_busy() - busy) - (_own() - own)) / capacity)

    def note(self, since: int = 0) -> str:
        """Say how many of the turns from number `since` on were disturbed; nothing when none was."""
        shares = self.shares[since:]
        disturbed = [share for share in shares if share > FOREIGN_LIMIT]
        if not disturbed:
            return ""
        return f"others used up to {max(disturbed):.0%} of the CPUs in {len(disturbed)} of {len(shares)} turns"


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - getattr(times, "guest", 0) - getattr(times, "guest_nice", 0))


def _own() -> float:
    used = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            used += sum(process.cpu_times()[:4])
        except psutil.Error:
            continue
    return used


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process and its descendants."""
    process = psutil.Process(pid)
    return sum(each.memory_info().rss for each in [process, *process.children(recursive=True)])


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes of a process: all in memory; its own, which are no files that the kernel can drop; CUDA's libraries'."""

    resident: int
    own: int
    cuda: int


def read_held(pid: int) -> Held:
    """Return what a process holds now."""
    return add_up(Path(f"/proc/{pid}/smaps").read_text())


def add_up(smaps: str) -> Held:
    """Add up the mappings of a process. What follows a library without a name is that library's zeroed data."""
    resident = own = cuda = 0
    path, is_cuda = "", False
    for line in smaps.splitlines():
        if mapping := MAPPING.match(line):
            path = mapping[1]
            is_cuda = any(part in path for part in CUDA_PARTS) or (not path and is_cuda)
        elif line.startswith("Rss:"):
            resident += _kilobytes(line)
            cuda += _kilobytes(line) if is_cuda else 0
        elif line.startswith("Anonymous:"):
            own += _kilobytes(line)
    return Held(resident, own, cuda)


def _kilobytes(line: str) -> int:
    return int(line.split()[1]) * 1024


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process and its descendants have used."""
    process = psutil.Process(pid)
    return float(sum(sum(each.cpu_times()[:2]) for each in [process, *process.children(recursive=True)]))
