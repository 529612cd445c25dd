"""From input tensors to instances: each field of the instance model is a tensor whose first dimension counts instances.

A string field is BYTES, numbers are INT64 or FP32 (any other numeric datatype does as well), a list has a second
dimension, anything deeper travels as JSON in BYTES. A file (an image, a recording) is BYTES too, as it is or in base64.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelservice_runtime.protocols.instances import READS
from modelservice_runtime.protocols.v2.tensors import FLOATS, Tensor
from modelservice_runtime.tasks.inputs import InvalidInput

SCALARS = {"string": "BYTES", "integer": "INT64", "number": "FP32", "boolean": "BOOL"}
NUMBERS = frozenset(("INT64", "FP32"))
FILE_FIELD = re.compile(r"(^|_)(image|images|audio|mask|file)$")
FILE_MAGIC = (b"RIFF", b"fLaC", b"OggS", b"ID3", b"GIF8", b"BM")


@dataclass(frozen=True, slots=True)
class InputTensor:
    """A field as a tensor; `listed` has a second dimension, `structured` holds JSON in each element."""

    name: str
    datatype: str
    listed: bool = False
    structured: bool = False

    @property
    def shape(self) -> list[int]:
        """The shape, -1 where the client chooses."""
        return [-1, -1] if self.listed else [-1]


def describe_inputs(reads: str) -> dict[str, InputTensor]:
    """Return the input tensors of a kind by name."""
    schema = READS[reads].instance.model_json_schema()
    return {name: _describe(name, field, schema.get("$defs", {})) for name, field in schema["properties"].items()}


def _describe(name: str, field: Mapping[str, Any], definitions: Mapping[str, Any]) -> InputTensor:
    options = [_resolve(option, definitions) for option in field.get("anyOf", [field])]
    types = [option.get("type", "object") for option in options if option.get("type") != "null"]
    for option in options:
        if option.get("type") == "array":
            element = _resolve(option.get("items", {}), definitions).get("type")
            if element in SCALARS:
                return InputTensor(name, SCALARS[element], listed=True)
    if len(set(types)) == 1 and types[0] in SCALARS:
        return InputTensor(name, SCALARS[types[0]])
    return InputTensor(name, "BYTES", structured=True)


def _resolve(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref", "")
    return definitions.get(reference.rpartition("/")[2], schema) if reference else schema


def read_inputs(reads: str, tensors: Sequence[Tensor]) -> list[dict[str, Any]]:
    """Return one instance for each element of the first dimension. Raises InvalidInput."""
    known = describe_inputs(reads)
    instances: list[dict[str, Any]] | None = None
    for tensor in tensors:
        if tensor.name not in known:
            raise InvalidInput("inputs", f"an input is unknown; this model takes {', '.join(known)}")
        column = _read_column(known[tensor.name], tensor)
        instances = instances or [{} for _ in column]
        if len(column) != len(instances):
            raise InvalidInput(
                f"inputs.{tensor.name}.shape", "all inputs must have the same first dimension: the number of instances"
            )
        for instance, value in zip(instances, column, strict=True):
            if tensor.name in instance:
                raise InvalidInput(f"inputs.{tensor.name}", "an input may be given once")
            instance[tensor.name] = value
    if not instances:
        raise InvalidInput("inputs", "no instance was given; the first dimension must be at least 1")
    return instances


def _read_column(known: InputTensor, tensor: Tensor) -> list[Any]:
    """Return the field's value of each instance."""
    _check_datatype(known, tensor)
    if not tensor.shape or tensor.shape[0] == 0:
        return []
    elements = [_to_value(known, element) for element in tensor.data]
    width = len(elements) // tensor.shape[0]
    rows = [elements[start : start + width] for start in range(0, len(elements), width or 1)]
    if known.listed:
        return rows
    if width != 1:
        raise InvalidInput(f"inputs.{known.name}.shape", "must be [n] or [n, 1], one element for each instance")
    return [row[0] for row in rows]


def _check_datatype(known: InputTensor, tensor: Tensor) -> None:
    numeric = tensor.datatype not in ("BYTES", "BOOL")
    fits = numeric and tensor.datatype not in FLOATS if known.datatype == "INT64" else numeric
    if tensor.datatype != known.datatype and not (known.datatype in NUMBERS and fits):
        raise InvalidInput(f"inputs.{known.name}.datatype", f"must be {known.datatype}")


def _to_value(known: InputTensor, element: Any) -> Any:
    if not isinstance(element, bytes):
        return element
    is_file = FILE_FIELD.search(known.name) is not None
    if is_file and element.startswith(FILE_MAGIC):
        return base64.b64encode(element).decode("ascii")
    try:
        text = element.decode()
    except UnicodeDecodeError:
        if is_file:
            return base64.b64encode(element).decode("ascii")
        raise InvalidInput(f"inputs.{known.name}", "the elements must be text in UTF-8") from None
    return _parse(text) if known.structured else text


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
