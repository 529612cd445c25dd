"""Reads the header of a safetensors file: names, types and shapes of its tensors, without the tensors.

The format (https://github.com/huggingface/safetensors#format) is 8 bytes of length, a JSON header and the data, so a
few kilobytes tell what a file of any size holds, and whether it is complete.
"""

import json
import os
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelservice_runtime.errors import UnusableModel

MAX_HEADER_BYTES = 100 << 20  # the limit of the safetensors library
MAX_SIZE = 1 << 63
DTYPE_NAMES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
BUFFER_DTYPES = ("I64", "BOOL")  # positions and masks, never weights


@dataclass
class TensorSummary:
    """What one or more safetensors files hold: parameters by type, and their size in bytes."""

    parameters: Counter[str] = field(default_factory=Counter)
    size_bytes: int = 0

    @property
    def total(self) -> int:
        """Number of parameters of all types."""
        return sum(self.parameters.values())

    @property
    def dtype(self) -> str:
        """The type of most parameters, as torch names it; empty without parameters."""
        if not self.parameters:
            return ""
        name = self.parameters.most_common(1)[0][0]
        return DTYPE_NAMES.get(name, name.lower())

    def add_file(self, path: Path) -> None:
        """Add one file. Raises UnusableModel when it cannot be read, is damaged or cut short."""
        size = path.stat().st_size
        try:
            with path.open("rb") as file:
                raw = read_header(str(path), size, file.read)
        except OSError as error:
            hint = f"the server runs as user {os.getuid()}; make the model's files readable for it (chmod a+rX)"
            raise UnusableModel(f"{path} cannot be read: {error.strerror}", hint=hint) from None
        tensors = _parse_header(str(path), raw)
        promised = 8 + len(raw) + max((tensor.end for tensor in tensors), default=0)
        if promised != size:
            raise _damaged(str(path), f"the header promises {promised} bytes, the file has {size}")
        for tensor in tensors:
            if tensor.dtype not in BUFFER_DTYPES:
                self.parameters[tensor.dtype] += tensor.elements
        self.size_bytes += size


@dataclass(frozen=True)
class _Tensor:
    dtype: str
    elements: int
    end: int


def read_header(name: str, size: int, read: Callable[[int], bytes]) -> bytes:
    """Return the JSON header of a file of `size` bytes, by two calls of `read` from its beginning on.

    Raises UnusableModel when the length that the file states cannot be true.
    """
    head = read(8)
    length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
    if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
        raise _damaged(name, "its header does not fit the file")
    return read(length)


def _parse_header(name: str, raw: bytes) -> list[_Tensor]:
    try:
        header = json.loads(raw)
        header.pop("__metadata__", None)
        tensors = [
            _Tensor(str(entry["dtype"]), _elements(entry["shape"]), _size(entry["data_offsets"][1]))
            for entry in header.values()
        ]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(name, f"its header is malformed ({type(error).__name__})") from None
    return tensors


def _elements(shape: Any) -> int:
    """Return how many numbers a tensor holds. Raises ValueError for what is no shape, before it costs much time."""
    if not isinstance(shape, list):
        raise ValueError("no shape")
    total = 1
    for size in shape:
        total = _size(total * _size(size))
    return total


def _size(value: Any) -> int:
    """Return the value. Raises ValueError for what is no number of bytes or elements that a file can hold."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < MAX_SIZE:
        raise ValueError("no size")
    return value


def _damaged(name: str, problem: str) -> UnusableModel:
    return UnusableModel(
        f"{name} is damaged: {problem}", hint="copy or download the file again; it may have been cut short"
    )
