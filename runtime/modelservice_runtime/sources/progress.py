"""Tells how far a download is: one log line every few seconds, whoever does the writing.

The figure is the size of the folder that is being filled, so it is right for every client library and after a resume.
"""

import logging
import os
import threading
import time
from pathlib import Path
from types import TracebackType

log = logging.getLogger(__name__)

BLOCK_BYTES = 512
"""The unit of `st_blocks`, whatever the file system's own blocks are."""


def folder_bytes(folder: Path) -> int:
    """Sum of what all files below a folder hold; holes, and files that vanish meanwhile, count as nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.stat(os.path.join(parent, name))
            except FileNotFoundError:
                continue
            total += min(found.st_size, found.st_blocks * BLOCK_BYTES)
    return total


class Progress:
    """Logs percent, bytes and speed of a folder that fills up to `total` bytes, every `interval` seconds."""

    def __init__(self, folder: Path, total: int, *, interval: float = 5.0) -> None:
        self._folder = folder
        self._total = max(total, 1)
        self._interval = interval
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._report, name="progress", daemon=True)

    def __enter__(self) -> "Progress":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _report(self) -> None:
        start, first = time.monotonic(), folder_bytes(self._folder)
        while not self._done.wait(self._interval):
            size = folder_bytes(self._folder)
            log.info(
                "downloading",
                extra={
                    "percent": min(99, 100 * size // self._total),
                    "bytes": size,
                    "totalBytes": self._total,
                    "bytesPerSecond": round((size - first) / (time.monotonic() - start)),
                },
            )
