"""Letting go of pages that are in files anyway: which those are, and that what uses them goes on."""

import ctypes
import zlib
from pathlib import Path

import pytest

from modelservice_runtime.engine import library_pages
from modelservice_runtime.engine.library_pages import SMAPS, find_copies, let_go_of_library_pages

HEADERS = {
    "code": "7f0000000000-7f0000003000 r-xp 00001000 fe:00 12   /usr/lib/libx.so.1.2",
    "constants": "7f0000003000-7f0000004000 r--p 00004000 fe:00 12   /opt/my libs/liby.so",
    "relocated": "7f0000004000-7f0000006000 r--p 00005000 fe:00 12   /usr/lib/libx.so.1.2",
    "written": "7f0000006000-7f0000007000 rw-p 00007000 fe:00 12   /usr/lib/libx.so.1.2",
    "shared": "7f0000007000-7f0000008000 r--s 00000000 fe:00 13   /usr/lib/libz.so",
    "weights": "7f0000008000-7f0000009000 r--p 00000000 fe:00 14   /models/m/model.safetensors",
    "heap": "7f0000009000-7f000000a000 rw-p 00000000 00:00 0 ",
    "absent": "7f000000a000-7f000000b000 r-xp 00000000 fe:00 15   /usr/lib/libabsent.so",
}
CHANGED = ("relocated", "written", "heap")


def make_smaps() -> str:
    lines = []
    for name, header in HEADERS.items():
        resident = 0 if name == "absent" else 8
        anonymous = 4 if name in CHANGED else 0
        lines += [header, f"Rss: {resident} kB", f"Anonymous: {anonymous} kB", "VmFlags: rd mr mw"]
    return "\n".join(lines) + "\n"


def test_only_unchanged_pages_of_libraries_are_copies_of_files() -> None:
    assert list(find_copies(make_smaps())) == [(0x7F0000000000, 0x3000, 8192), (0x7F0000003000, 0x1000, 8192)]


def test_mapping_of_which_the_kernel_does_not_tell_what_it_holds_is_left_alone() -> None:
    assert not list(find_copies(HEADERS["code"] + "\nRss: 8 kB\n"))


def test_library_that_was_let_go_of_is_mapped_again_when_it_is_called() -> None:
    text = b"what is compressed before and after is the same" * 100
    before = zlib.compress(text)
    held = sum(resident for _, _, resident in find_copies(SMAPS.read_text()))
    let_go_of_library_pages()
    left = sum(resident for _, _, resident in find_copies(SMAPS.read_text()))
    assert left < held / 2
    assert zlib.compress(text) == before
    assert ctypes.CDLL(None).abs(-5) == 5


def test_nothing_happens_where_the_kernel_does_not_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(library_pages, "SMAPS", tmp_path / "absent")
    let_go_of_library_pages()
