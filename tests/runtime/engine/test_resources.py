import os
from pathlib import Path

import pytest

from modelservice_runtime.engine.resources import read_resources


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    write(tmp_path / "proc/meminfo", "MemTotal:       32000000 kB\n")
    write(tmp_path / "proc/self/cgroup", "0::/\n")
    return tmp_path


def test_quota_and_limit_are_read_when_cgroup_v2_states_them(machine: Path) -> None:
    write(machine / "cg/cpu.max", "350000 100000\n")
    write(machine / "cg/memory.max", "2147483648\n")
    resources = read_resources(machine / "cg", machine / "proc")
    assert (resources.cpus, resources.memory_bytes) == (3, 2147483648)


def test_parent_group_counts_when_its_limit_is_lower(machine: Path) -> None:
    write(machine / "proc/self/cgroup", "0::/pods/one\n")
    write(machine / "cg/pods/cpu.max", "200000 100000\n")
    write(machine / "cg/pods/one/cpu.max", "max 100000\n")
    assert read_resources(machine / "cg", machine / "proc").cpus == 2


def test_cgroup_v1_is_read_when_there_is_no_v2(machine: Path) -> None:
    write(machine / "proc/self/cgroup", "4:memory:/box\n3:cpu,cpuacct:/box\n")
    write(machine / "cg/cpu/box/cpu.cfs_quota_us", "50000")
    write(machine / "cg/cpu/box/cpu.cfs_period_us", "100000")
    write(machine / "cg/memory/box/memory.limit_in_bytes", "1000000000")
    resources = read_resources(machine / "cg", machine / "proc")
    assert (resources.cpus, resources.memory_bytes) == (1, 1000000000)


def test_machine_counts_when_nothing_is_limited(machine: Path) -> None:
    write(machine / "cg/cpu.max", "max 100000\n")
    write(machine / "cg/memory.max", "max\n")
    resources = read_resources(machine / "cg", machine / "proc")
    assert (resources.cpus, resources.memory_bytes) == (16, 32000000 * 1024)
