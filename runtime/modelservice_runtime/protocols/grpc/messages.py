"""Between the messages of the gRPC form and tensors."""

from collections.abc import Mapping, Sequence
from typing import Any

from modelservice_runtime.protocols.grpc import open_inference_pb2 as pb
from modelservice_runtime.protocols.v2.tensors import (
    DATATYPES,
    Tensor,
    check_data,
    count_elements,
    decode_raw,
    encode_raw,
)
from modelservice_runtime.tasks.inputs import InvalidInput

MOST_INPUTS = 64
CONTENTS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def read_messages(request: pb.ModelInferRequest, most: int) -> list[Tensor]:
    """Return the input tensors, each of `most` elements at most. Raises InvalidInput."""
    raw = request.raw_input_contents
    if not 1 <= len(request.inputs) <= MOST_INPUTS:
        raise InvalidInput("inputs", f"give 1 to {MOST_INPUTS} inputs")
    if raw and len(raw) != len(request.inputs):
        raise InvalidInput("raw_input_contents", "must hold one element for each input, or none at all")
    return [_read(given, raw[index] if raw else None, most) for index, given in enumerate(request.inputs)]


def _read(given: pb.ModelInferRequest.InferInputTensor, raw: bytes | None, most: int) -> Tensor:
    if given.datatype not in DATATYPES:
        raise InvalidInput(f"inputs.{given.name}.datatype", f"must be one of {', '.join(DATATYPES)}")
    unknown = set(given.parameters) - {"binary_data_size"}
    if unknown:
        raise InvalidInput(f"inputs.{given.name}.parameters", "none is supported, shared memory neither; remove them")
    count = count_elements(given.name, given.shape, most)
    data = _contents(given) if raw is None else decode_raw(given.name, given.datatype, count, raw)
    check_data(given.name, given.datatype, count, data)
    return Tensor(given.name, given.datatype, tuple(given.shape), data)


def _contents(given: pb.ModelInferRequest.InferInputTensor) -> Sequence[Any]:
    field = CONTENTS.get(given.datatype)
    if field is None:
        raise InvalidInput(f"inputs.{given.name}", f"{given.datatype} is taken in raw_input_contents only")
    return list(getattr(given.contents, field))


def read_parameters_map(given: Mapping[str, pb.InferParameter]) -> dict[str, Any]:
    """Return parameters as plain values."""
    return {
        name: getattr(value, value.WhichOneof("parameter_choice") or "string_param") for name, value in given.items()
    }


def write_messages(tensors: Sequence[Tensor], name: str, version: str, request_id: str) -> pb.ModelInferResponse:
    """Return the answer with its data in raw form."""
    return pb.ModelInferResponse(
        model_name=name,
        model_version=version,
        id=request_id,
        outputs=[
            pb.ModelInferResponse.InferOutputTensor(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
            for tensor in tensors
        ],
        raw_output_contents=[encode_raw(tensor) for tensor in tensors],
    )
