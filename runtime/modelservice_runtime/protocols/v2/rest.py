"""The REST form of the protocol: JSON, and the extension that puts the bytes of tensors behind it.

With the extension the header `Inference-Header-Content-Length` tells the length of the JSON; the raw data of each
tensor that states `binary_data_size` follows in the order of the tensors.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from modelservice_runtime.protocols.strict import Name, StrictBody, Text
from modelservice_runtime.protocols.v2.parameters import BINARY_OUTPUT
from modelservice_runtime.protocols.v2.tensors import (
    Datatype,
    Tensor,
    count_elements,
    decode_json,
    decode_raw,
    encode_raw,
)
from modelservice_runtime.tasks.inputs import InvalidInput

MOST_ELEMENTS = 1 << 22
SHARED_MEMORY = ("shared_memory_region", "shared_memory_offset", "shared_memory_byte_size")
RequestId = Annotated[str, Field(max_length=256)]


class InferInput(StrictBody):
    """One input tensor; `data` in JSON, or `parameters.binary_data_size` bytes behind it."""

    unsupported: ClassVar = {}
    name: Name
    shape: Annotated[list[Annotated[int, Field(ge=0, lt=1 << 31)]], Field(min_length=1, max_length=8)]
    datatype: Datatype
    parameters: dict[str, Any] = Field(default_factory=dict)
    data: list[Any] | None = None


class InferOutput(StrictBody):
    """An output that is wanted."""

    name: Name
    parameters: dict[str, Any] = Field(default_factory=dict)


class InferRequest(StrictBody):
    """Body of `/infer`. The metadata of the model names the inputs, the outputs and their datatypes.

    `model_name` is what some clients repeat from the path; another one is refused.
    """

    id: RequestId | None = None
    model_name: Name | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    inputs: Annotated[list[InferInput], Field(min_length=1, max_length=64)]
    outputs: Annotated[list[InferOutput], Field(max_length=64)] = Field(default_factory=list)


class GenerateRequest(StrictBody):
    """Body of `/generate` and `/generate_stream`; parameters as in `:predict`, `max_tokens` for `max_new_tokens`."""

    id: RequestId | None = None
    text_input: Text
    parameters: dict[str, Any] = Field(default_factory=dict)


def infer_schema() -> Any:
    """Return the JSON schema of `InferRequest` without references, for a route that reads its body itself."""
    schema = InferRequest.model_json_schema()
    definitions = schema.pop("$defs")

    def inline(value: Any) -> Any:
        if isinstance(value, list):
            return [inline(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return inline(definitions[value["$ref"].rpartition("/")[2]])
        return {key: inline(item) for key, item in value.items()}

    return inline(schema)


def read_tensors(request: InferRequest, binary: bytes) -> list[Tensor]:
    """Return the input tensors of a request. Raises InvalidInput."""
    tensors, place = [], 0
    for given in request.inputs:
        count = count_elements(given.name, given.shape, MOST_ELEMENTS)
        size = _binary_size(given)
        if size is None:
            data = decode_json(given.name, given.datatype, count, given.data or [])
        else:
            data = decode_raw(given.name, given.datatype, count, binary[place : place + size])
            place += size
        tensors.append(Tensor(given.name, given.datatype, tuple(given.shape), data))
    if place != len(binary):
        raise InvalidInput("inputs", f"the inputs name {place} bytes of binary data, but {len(binary)} were sent")
    return tensors


def _binary_size(given: InferInput) -> int | None:
    """Return the bytes that an input announces, None when its data is in JSON. Raises InvalidInput."""
    unknown = set(given.parameters) - {"binary_data_size"}
    if unknown & set(SHARED_MEMORY):
        raise InvalidInput(f"inputs.{given.name}", "shared memory is not supported; send the data")
    if unknown:
        raise InvalidInput(f"inputs.{given.name}.parameters", "only binary_data_size is known; remove the others")
    size = given.parameters.get("binary_data_size")
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 0):
        raise InvalidInput(f"inputs.{given.name}.parameters.binary_data_size", "must be a number of bytes")
    if (size is None) == (given.data is None):
        raise InvalidInput(f"inputs.{given.name}", "give either data or binary_data_size")
    return size


def choose_binary(request: InferRequest, tensors: Sequence[Tensor]) -> frozenset[str]:
    """Return the names of the outputs whose data is wanted in binary. Raises InvalidInput for unknown wishes."""
    everything = bool(request.parameters.get(BINARY_OUTPUT, False))
    chosen = {tensor.name for tensor in tensors} if everything else set()
    for wanted in request.outputs:
        unknown = set(wanted.parameters) - {"binary_data"}
        if unknown and any(wanted.parameters[name] for name in unknown):
            raise InvalidInput("outputs.parameters", "only binary_data is supported; remove the others")
        if "binary_data" in wanted.parameters:
            (chosen.add if wanted.parameters["binary_data"] else chosen.discard)(wanted.name)
    return frozenset(chosen)


def write_answer(
    envelope: dict[str, Any], tensors: Sequence[Tensor], binary: frozenset[str]
) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the length of its JSON when raw data follows it."""
    outputs, tail = [], []
    for tensor in tensors:
        output = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if tensor.name in binary:
            tail.append(encode_raw(tensor))
            outputs.append({**output, "parameters": {"binary_data_size": len(tail[-1])}})
        else:
            outputs.append({**output, "data": _to_json(tensor)})
    head = json.dumps({**envelope, "outputs": outputs}, ensure_ascii=False, separators=(",", ":")).encode()
    return b"".join([head, *tail]), len(head) if tail else None


def _to_json(tensor: Tensor) -> list[Any]:
    return [element.decode() for element in tensor.data] if tensor.datatype == "BYTES" else list(tensor.data)
