"""Reads the binary form of CTranslate2's models: names, shapes and arrays, one after the other, without CTranslate2.

The layout is that of `ctranslate2.specs.model_spec` (version 6): little-endian; a string is its length with the closing
zero, then its bytes; a variable is name, rank, dimensions, type and size in bytes, then the data.
"""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

VERSION = 6
TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._place = 0

    def number(self, code: str) -> int:
        (value,) = struct.unpack_from(f"<{code}", self._data, self._place)
        self._place += struct.calcsize(code)
        return int(value)

    def bytes(self, count: int) -> memoryview:
        self._place += count
        return self._data[self._place - count : self._place]

    def text(self) -> str:
        return bytes(self.bytes(self.number("H")))[:-1].decode()


def read_model(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the variables of a model by name. Raises ValueError when the file is of another version or type."""
    reader = _Reader(path.read_bytes())
    if (version := reader.number("I")) != VERSION:
        raise ValueError(f"{path} is of version {version}, not {VERSION}")
    reader.text(), reader.number("I")
    variables: dict[str, NDArray[np.generic]] = {}
    for _ in range(reader.number("I")):
        name = reader.text()
        shape = [reader.number("I") for _ in range(reader.number("B"))]
        kind, size = reader.number("B"), reader.number("I")
        if kind not in TYPES:
            raise ValueError(f"{path}: {name} is of type {kind}, which is not known")
        variables[name] = np.frombuffer(reader.bytes(size), dtype=TYPES[kind]).reshape(shape)
    for _ in range(reader.number("I")):
        alias, name = reader.text(), reader.text()
        variables[alias] = variables[name]
    return variables


def dequantize(variables: dict[str, NDArray[np.generic]], name: str) -> NDArray[np.float32]:
    """Return a weight in float32; integers are divided by the scale of their row."""
    values = variables[name].astype(np.float32)
    scale = variables.get(f"{name}_scale")
    return values if scale is None else values / scale.astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
