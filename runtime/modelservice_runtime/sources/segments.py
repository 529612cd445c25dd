"""Downloads large files as segments, several at a time, and goes on after a restart with those that are missing.

A file is written at its full length from the start; a journal beside it names its version and the segments that have
arrived. The journal is written after the bytes, so what it names is there. Without a journal of the same version a
file starts again.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

SEGMENT_BYTES = 16 << 20
JOURNAL = ".segments"
PART = ".part"

ReadRange = Callable[[int, int], bytes]


@dataclass(frozen=True)
class Download:
    """One file to download: where to, its size in bytes, what names its version, and what reads [start, end) of it."""

    path: Path
    size: int
    version: str
    read: ReadRange


def download_all(downloads: Sequence[Download], parallel: int) -> None:
    """Download the files with `parallel` reads at a time. Raises what a read raises, after the others have ended."""
    files = [_SegmentedFile(download) for download in downloads if not download.path.exists()]
    pool = ThreadPoolExecutor(parallel, thread_name_prefix="fetch")
    try:
        work = [pool.submit(file.fetch, index) for file in files for index in file.missing()]
        done, _ = wait(work, return_when=FIRST_EXCEPTION)
        for each in done:
            each.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for file in files:
            file.close()
    for file in files:
        file.publish()


class _SegmentedFile:
    """A file that is being filled; its segments may be fetched by several threads."""

    def __init__(self, download: Download) -> None:
        self._download = download
        self._part = download.path.with_name(download.path.name + PART)
        self._journal = download.path.with_name(download.path.name + JOURNAL)
        self._lock = threading.Lock()
        self._part.parent.mkdir(parents=True, exist_ok=True)
        self._done = self._resume()
        self._file = os.open(self._part, os.O_RDWR | os.O_CREAT, 0o644)
        os.truncate(self._file, download.size)

    def missing(self) -> list[int]:
        """Return the numbers of the segments that have not arrived."""
        count = -(-self._download.size // SEGMENT_BYTES)
        return [index for index in range(count) if index not in self._done]

    def fetch(self, index: int) -> None:
        """Read one segment and note that it is there."""
        start = index * SEGMENT_BYTES
        data = self._download.read(start, min(start + SEGMENT_BYTES, self._download.size))
        os.pwrite(self._file, data, start)
        with self._lock, self._journal.open("a", encoding="utf-8") as journal:
            journal.write(f"{index}\n")

    def close(self) -> None:
        """Stop writing."""
        os.close(self._file)

    def publish(self) -> None:
        """Give the complete file its name."""
        os.replace(self._part, self._download.path)
        self._journal.unlink(missing_ok=True)

    def _resume(self) -> set[int]:
        """Return the segments of an earlier try of the same version; begin a new journal when there is none."""
        head = f"{self._download.version} {self._download.size} {SEGMENT_BYTES}"
        lines = self._journal.read_text(encoding="utf-8").splitlines() if self._journal.exists() else []
        if lines[:1] == [head] and self._part.exists():
            return {int(line) for line in lines[1:] if line.isdigit()}
        self._part.unlink(missing_ok=True)
        self._journal.write_text(head + "\n", encoding="utf-8")
        return set()
