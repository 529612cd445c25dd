"""What the compared processes are given alike."""

import pytest

from tests.bench.runtime.machine import Held, add_up
from tests.bench.runtime.servers import child_environment


def test_every_process_may_use_all_cpus_when_the_caller_limits_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MKL_NUM_THREADS", "1")
    given = child_environment()
    assert not [name for name in given if name.endswith("_NUM_THREADS")]
    assert given["HF_HUB_OFFLINE"] == "1"


def test_memory_is_told_apart_when_libraries_have_zeroed_data_behind_them() -> None:
    parts = [
        ("1000-2000 r-xp 00000000 fe:00 1   /site/nvidia/lib/libcublasLt.so.13", 40, 4),
        ("2000-3000 rw-p 00000000 00:00 0 ", 80, 80),
        ("3000-4000 rw-p 00000000 00:00 0   [heap]", 100, 100),
        ("4000-5000 r--p 00000000 fe:00 2   /site/torch/lib/libtorch_cpu.so", 50, 0),
        ("5000-6000 rw-p 00000000 00:00 0 ", 7, 7),
    ]
    smaps = "".join(f"{head}\nSize: 9 kB\nRss: {rss} kB\nPss: 1 kB\nAnonymous: {own} kB\n" for head, rss, own in parts)
    assert add_up(smaps) == Held(resident=277 * 1024, own=191 * 1024, cuda=120 * 1024)
