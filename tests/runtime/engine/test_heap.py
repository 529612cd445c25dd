"""Giving free memory back, here and where the C library cannot."""

import ctypes
from pathlib import Path
from types import SimpleNamespace

import pytest

from modelservice_runtime.engine.heap import STATUS, give_back_free_memory, read_resident


def test_resident_memory_is_read_when_the_kernel_tells_it(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmRSS:\t   2048 kB\nThreads:\t3\n", encoding="ascii")
    assert read_resident(status) == 2 << 20
    assert read_resident(STATUS) > 1 << 20
    assert read_resident(tmp_path / "absent") == 0


def test_freed_pieces_go_back_when_others_between_them_stay() -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    size = 64 << 10  # small enough for the heap of the C library, which no free alone shrinks past a piece in use
    pieces = [libc.malloc(ctypes.c_size_t(size)) for _ in range(2000)]
    for piece in pieces:
        ctypes.memset(piece, 1, size)
    for piece in pieces[::2]:
        libc.free(piece)
    before = read_resident(STATUS)
    give_back_free_memory()
    gained = before - read_resident(STATUS)
    for piece in pieces[1::2]:
        libc.free(piece)
    assert gained > 30 << 20


def test_nothing_happens_when_the_c_library_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    give_back_free_memory()
