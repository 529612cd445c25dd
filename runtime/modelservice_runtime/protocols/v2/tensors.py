"""Tensors as plain values, and their raw form.

Raw data is little-endian and row-major; before each element of BYTES stands its length in 32 bits.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, get_args

from modelservice_runtime.tasks.inputs import InvalidInput

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"
]
DATATYPES: tuple[str, ...] = get_args(Datatype)
CODES = dict(zip(DATATYPES, "?BHIQbhiqefd", strict=False))
FLOATS = ("FP16", "FP32", "FP64")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor with its elements in one flat row-major sequence: bytes, int, float or bool by its datatype."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Sequence[Any]


def count_elements(name: str, shape: Sequence[int], most: int) -> int:
    """Return the number of elements of a shape. Raises InvalidInput when it is negative somewhere, or above `most`."""
    count = prod(shape)
    if any(size < 0 for size in shape) or count > most:
        raise InvalidInput(f"inputs.{name}.shape", f"must hold sizes from 0 and at most {most} elements in all")
    return count


def decode_raw(name: str, datatype: str, count: int, raw: bytes) -> list[Any]:
    """Return `count` elements of raw data. Raises InvalidInput when the data is of another size."""
    if datatype == "BYTES":
        return _decode_strings(name, count, raw)
    expected = count * struct.calcsize("<" + CODES[datatype])
    if len(raw) != expected:
        raise InvalidInput(
            f"inputs.{name}", f"the shape asks for {expected} bytes of {datatype}, but {len(raw)} were sent"
        )
    return list(struct.unpack(f"<{count}{CODES[datatype]}", raw))


def _decode_strings(name: str, count: int, raw: bytes) -> list[bytes]:
    found: list[bytes] = []
    place = 0
    while place + 4 <= len(raw) and len(found) < count:
        (length,) = struct.unpack_from("<I", raw, place)
        found.append(raw[place + 4 : place + 4 + length])
        place += 4 + length
    if len(found) != count or place != len(raw):
        raise InvalidInput(
            f"inputs.{name}",
            f"the shape asks for {count} elements of BYTES, each with its length in 4 little-endian bytes before it; "
            "the data holds another number of them",
        )
    return found


def encode_raw(tensor: Tensor) -> bytes:
    """Return the raw form of a tensor."""
    if tensor.datatype == "BYTES":
        return b"".join(struct.pack("<I", len(element)) + element for element in tensor.data)
    return struct.pack(f"<{len(tensor.data)}{CODES[tensor.datatype]}", *tensor.data)


def decode_json(name: str, datatype: str, count: int, data: Sequence[Any]) -> list[Any]:
    """Return the elements of JSON data, flat or nested as the shape is. Raises InvalidInput."""
    flat = _flatten(data)
    if datatype == "BYTES":
        flat = [element.encode() if isinstance(element, str) else element for element in flat]
    check_data(name, datatype, count, flat)
    return flat


def check_data(name: str, datatype: str, count: int, data: Sequence[Any]) -> None:
    """Raise InvalidInput unless the data has `count` elements of the datatype."""
    if len(data) != count:
        raise InvalidInput(f"inputs.{name}.data", f"the shape asks for {count} elements, but {len(data)} were sent")
    if not all(_fits(datatype, element) for element in data):
        raise InvalidInput(f"inputs.{name}.data", f"an element is not of the datatype {datatype}")


def _flatten(data: Sequence[Any]) -> list[Any]:
    """Return the leaves of nested lists, without recursion: a client chooses the depth."""
    leaves: list[Any] = []
    stack = [iter(data)]
    while stack:
        for element in stack[-1]:
            if isinstance(element, list):
                stack.append(iter(element))
                break
            leaves.append(element)
        else:
            stack.pop()
    return leaves


def _fits(datatype: str, element: Any) -> bool:
    if datatype == "BYTES":
        return isinstance(element, bytes)
    if datatype == "BOOL":
        return isinstance(element, bool)
    if isinstance(element, bool):
        return False
    return isinstance(element, int | float) if datatype in FLOATS else isinstance(element, int)
