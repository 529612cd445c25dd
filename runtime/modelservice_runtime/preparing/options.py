"""What `optimize` was asked to do, checked as far as that is possible without the model."""

import re
from dataclasses import dataclass
from pathlib import Path

KEEP = "keep"
DTYPES = (KEEP, "float32", "bfloat16", "float16")
DEFAULT_SHARD = "5GB"
DEFAULT_ROUNDS = 3
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(KB|MB|GB|KiB|MiB|GiB)")
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@dataclass(frozen=True)
class PrepareOptions:
    """Where from, where to, and what is changed on the way; with `rounds` 0 nothing is loaded and compared."""

    source: str
    target: Path
    revision: str = ""
    dtype: str = KEEP
    samples: Path | None = None
    shard_bytes: int = 5 * 10**9
    convert_pickle: bool = False
    rounds: int = DEFAULT_ROUNDS


def parse_size(text: str) -> int:
    """Return the bytes of a size such as 500MB, 5GB or 2GiB. Raises ValueError."""
    match = SIZE.fullmatch(text.strip())
    if match is None or float(match[1]) == 0:
        raise ValueError(f"{text!r} is no size; write a number and KB, MB, GB, KiB, MiB or GiB")
    return int(float(match[1]) * UNITS[match[2]])
