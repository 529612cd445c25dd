"""Objects at rest in a tenth of the memory: decoded JSON as compressed bytes.

A cache of thousands of objects is read a few at a time. As dicts, a Deployment of 6 KB of JSON takes 60 KB; packed, it
takes 2 KB, and unpacking costs less than 0.1 ms.
"""

import marshal
import zlib
from typing import Any

_FASTEST = 1


def pack(value: Any) -> bytes:
    """Pack dicts, lists, strings, numbers, booleans and None. Raises ValueError for anything else."""
    return zlib.compress(marshal.dumps(value), _FASTEST)


def unpack(packed: bytes) -> Any:
    """A fresh copy of what was packed; only for what this process packed itself."""
    return marshal.loads(zlib.decompress(packed))  # noqa: S302
