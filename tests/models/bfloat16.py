"""Writes bfloat16 safetensors from float32 arrays without torch.

numpy has no bfloat16, so `safetensors.numpy` cannot write it; the format is a length, a JSON header and the tensors'
bytes one after the other (https://github.com/huggingface/safetensors#format), which also lets the tensors be made
one at a time instead of all in memory.
"""

import json
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 8


def round_to_bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round finite float32 values to bfloat16, to nearest with ties to even; the bits come back as uint16."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


def write_bfloat16(
    path: Path, shapes: Mapping[str, tuple[int, ...]], tensors: Iterable[tuple[str, NDArray[np.float32]]]
) -> None:
    """Write `tensors`, which come in the order of `shapes`, as bfloat16.

    Raises ValueError when a tensor's name or shape is not the announced one.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % ALIGNMENT)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for (name, shape), (given, values) in zip(shapes.items(), tensors, strict=True):
            if (name, shape) != (given, values.shape):
                raise ValueError(f"tensor {name} {shape} was announced, {given} {values.shape} came")
            file.write(round_to_bfloat16(values).astype("<u2").tobytes())
