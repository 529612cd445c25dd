"""From results to output tensors: typed where the result is regular, one tensor of JSON otherwise.

What a kind gives must not depend on the data: a detector would else answer with a matrix when two images happen to hold
the same number of objects. So regular kinds are listed here, and every other kind is JSON.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from modelservice_runtime.protocols.v2.tensors import Tensor

EMPTY: Mapping[str, Any] = {"BYTES": b"", "FP32": 0.0}


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """A tensor [n], or [n, k] when `listed`; `read` takes its value, or values, from one result."""

    name: str
    datatype: str
    read: Callable[[Any], Any]
    listed: bool = False

    @property
    def shape(self) -> list[int]:
        """The shape, -1 where it depends on the request."""
        return [-1, -1] if self.listed else [-1]


def _each(key: str) -> Callable[[Any], list[Any]]:
    return lambda result: [part[key] for part in result]


REGULAR: Mapping[str, tuple[OutputTensor, ...]] = {
    "labels": (
        OutputTensor("labels", "BYTES", _each("label"), listed=True),
        OutputTensor("scores", "FP32", _each("score"), listed=True),
    ),
    "vector": (OutputTensor("embedding", "FP32", list, listed=True),),
    "completion": (
        OutputTensor("text", "BYTES", itemgetter("text")),
        OutputTensor("finish_reason", "BYTES", itemgetter("finish_reason")),
    ),
    "picture": (
        OutputTensor("image", "BYTES", itemgetter("image")),
        OutputTensor("seed", "INT64", itemgetter("seed")),
    ),
}
STRUCTURED = (OutputTensor("predictions", "BYTES", lambda result: json.dumps(result, ensure_ascii=False)),)


def describe_outputs(gives: str) -> tuple[OutputTensor, ...]:
    """Return the output tensors of a kind."""
    return REGULAR.get(gives, STRUCTURED)


def write_outputs(gives: str, results: Sequence[Any], wanted: Sequence[str] = ()) -> list[Tensor]:
    """Return the tensors of a kind's JSON values, only those that are `wanted` when any is named.

    Rows of different lengths (labels that each instance brought along) are filled up with empty values.
    """
    return [
        _write(output, [output.read(result) for result in results])
        for output in describe_outputs(gives)
        if not wanted or output.name in wanted
    ]


def _write(output: OutputTensor, column: list[Any]) -> Tensor:
    shape: tuple[int, ...] = (len(column),)
    values = column
    if output.listed:
        width = max(map(len, column), default=0)
        shape = (len(column), width)
        values = [value for row in column for value in [*row, *[EMPTY[output.datatype]] * (width - len(row))]]
    if output.datatype == "BYTES":
        values = [value.encode() if isinstance(value, str) else value for value in values]
    return Tensor(output.name, output.datatype, shape, values)
