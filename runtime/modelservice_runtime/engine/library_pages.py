"""Pages of libraries that were read while they were loaded, and are not needed to serve.

Importing torch reads a large part of every library that it is linked with; where that torch can use GPUs, those of CUDA
are among them, a quarter of a gigabyte that a server on a CPU never looks at again. Such pages are exact copies of
parts of files. A process may let go of them at any time, and the kernel maps again what is touched later, most often
without reading the disk. Pages that hold anything else, such as addresses that the loader filled in, are left alone.
"""

import ctypes
import logging
import mmap
import re
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)

SMAPS = Path("/proc/self/smaps")
MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \S+ *(.*)")
LIBRARY = re.compile(r"\.so(\.[0-9.]+)?$")


def let_go_of_library_pages() -> None:
    """Unmap pages of libraries that are copies of their files, where the kernel tells which those are; log how many."""
    advise = getattr(ctypes.CDLL(None), "madvise", None)
    if advise is None or not SMAPS.exists():
        return
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    smaps = SMAPS.read_text(encoding="utf-8", errors="replace")
    held = sum(resident for start, size, resident in find_copies(smaps) if advise(start, size, mmap.MADV_DONTNEED) == 0)
    logger.info("pages of libraries let go of", extra={"bytes": held})


def find_copies(smaps: str) -> Iterator[tuple[int, int, int]]:
    """Yield address, size and resident bytes of mappings of libraries that hold nothing but what is in their files."""
    for header, fields in _mappings(smaps):
        start, end, rights, path = header
        is_copy = "w" not in rights and rights.endswith("p") and not fields.get("Anonymous", 1)
        if is_copy and LIBRARY.search(path) and fields.get("Rss"):
            yield int(start, 16), int(end, 16) - int(start, 16), fields["Rss"]


def _mappings(smaps: str) -> Iterator[tuple[tuple[str, str, str, str], dict[str, int]]]:
    """Yield (start, end, rights, path) of each mapping with its counts in bytes."""
    header: tuple[str, str, str, str] | None = None
    fields: dict[str, int] = {}
    for line in smaps.splitlines():
        if found := MAPPING.match(line):
            if header:
                yield header, fields
            header, fields = (found[1], found[2], found[3], found[4]), {}
        elif line.endswith(" kB"):
            name, count, _ = line.split()
            fields[name.rstrip(":")] = int(count) * 1024
    if header:
        yield header, fields
