"""What `optimize` was asked to do, checked as far as that is possible without the model."""

import re
from dataclasses import dataclass
from pathlib import Path

from modelservice_runtime.errors import BadSettings

KEEP = "keep"
DTYPES = (KEEP, "float32", "bfloat16", "float16")
DEFAULT_SHARD = "5GB"
DEFAULT_ROUNDS = 3
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(KB|MB|GB|KiB|MiB|GiB)")
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@dataclass(frozen=True)
class PrepareOptions:
    """Where from, where to, and what is changed on the way.

    `prune_heads` counts attention heads of every layer, `prune_layers` whole layers; `drop_layers` names layers. With
    `rounds` 0 nothing is compared.
    """

    source: str
    target: Path
    revision: str = ""
    dtype: str = KEEP
    prune_heads: int = 0
    prune_layers: int = 0
    drop_layers: tuple[int, ...] = ()
    samples: Path | None = None
    shard_bytes: int = 5 * 10**9
    convert_pickle: bool = False
    rounds: int = DEFAULT_ROUNDS

    def __post_init__(self) -> None:
        """Raise BadSettings when options contradict one another."""
        if self.prune_layers and self.drop_layers:
            raise BadSettings(
                "--prune-layers and --drop-layers both choose layers",
                hint="count the layers to drop with --prune-layers, or name them with --drop-layers",
            )


def parse_size(text: str) -> int:
    """Return the bytes of a size such as 500MB, 5GB or 2GiB. Raises ValueError."""
    match = SIZE.fullmatch(text.strip())
    if match is None or float(match[1]) == 0:
        raise ValueError(f"{text!r} is no size; write a number and KB, MB, GB, KiB, MiB or GiB")
    return int(float(match[1]) * UNITS[match[2]])


def parse_layers(text: str) -> tuple[int, ...]:
    """Return the numbers of layers, counted from 0, of a list with commas. Raises ValueError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() for part in parts):
        raise ValueError(f"{text!r} is no list of layers; write numbers from 0 on with commas between")
    return tuple(sorted({int(part) for part in parts}))
