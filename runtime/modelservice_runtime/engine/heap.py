"""Memory that is free but not given back.

While a model is loaded each weight is read, cast and put in order, and what lay in between is freed. glibc keeps such
pieces for later in the arena of each thread, and of these only the ends are ever given back: hundreds of megabytes
that the process holds without use. Once it is loaded they can be handed to the kernel in one call.
"""

import ctypes
import logging
from pathlib import Path

logger = logging.getLogger(__name__)

STATUS = Path("/proc/self/status")


def give_back_free_memory() -> None:
    """Hand free memory to the kernel, where the C library can, and log how much that was.

    Garbage is not searched for: whoever has just done that calls this next.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:  # musl, macOS
        return
    before = read_resident(STATUS)
    trim(ctypes.c_size_t(0))
    after = read_resident(STATUS)
    logger.info("free memory given back", extra={"bytes": before - after, "resident_bytes": after})


def read_resident(status: Path) -> int:
    """Return the bytes of a process that are in memory; 0 where the kernel does not tell."""
    try:
        lines = status.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)
