"""Tensors of the open inference protocol, for every kind that a task may read or give."""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelservice_runtime.protocols.instances import GIVES, READS
from modelservice_runtime.protocols.v2.inputs import FILE_FIELD, InputTensor, describe_inputs, read_inputs
from modelservice_runtime.protocols.v2.outputs import REGULAR, describe_outputs, write_outputs
from modelservice_runtime.protocols.v2.parameters import read_parameters
from modelservice_runtime.protocols.v2.tensors import CODES, DATATYPES, Tensor, decode_json, decode_raw, encode_raw
from modelservice_runtime.tasks.base import TASKS
from modelservice_runtime.tasks.inputs import InvalidInput

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def as_tensor(known: InputTensor, value: Any) -> Tensor:
    """Return a field's value as the tensor of one instance."""
    values = value if known.listed else [value]
    if known.structured:
        values = [json.dumps(each) for each in values]
    data = [each.encode() if isinstance(each, str) else each for each in values]
    return Tensor(known.name, known.datatype, (1, len(data)), data)


@pytest.mark.parametrize("reads", READS)
def test_example_survives_the_way_through_tensors(reads: str) -> None:
    known = describe_inputs(reads)
    tensors = [as_tensor(known[name], value) for name, value in READS[reads].example.items()]
    (instance,) = read_inputs(reads, tensors)
    assert READS[reads].instance.model_validate(instance) == READS[reads].instance.model_validate(READS[reads].example)


@pytest.mark.parametrize("reads", [info.reads for info in TASKS if info.media])
@pytest.mark.parametrize("raw", [PNG, b"RIFF" + bytes(40), b"fLaC\x00"])
def test_file_is_taken_as_it_is_and_in_base64(reads: str, raw: bytes) -> None:
    name = next(name for name in describe_inputs(reads) if FILE_FIELD.search(name))
    text = base64.b64encode(raw)
    column = [instance[name] for instance in read_inputs(reads, [Tensor(name, "BYTES", (2,), [raw, text])])]
    assert column == [text.decode(), text.decode()]


def test_bytes_are_refused_when_a_text_is_no_text() -> None:
    with pytest.raises(InvalidInput, match="UTF-8"):
        read_inputs("text", [Tensor("text", "BYTES", (1,), [PNG])])


@pytest.mark.parametrize("gives", GIVES)
def test_outputs_have_names_and_known_datatypes(gives: str) -> None:
    outputs = describe_outputs(gives)
    assert len({output.name for output in outputs}) == len(outputs) > 0
    assert {output.datatype for output in outputs} <= set(DATATYPES)


def test_results_are_json_when_their_kind_is_not_regular() -> None:
    (tensor,) = write_outputs("a kind of tomorrow", [{"é": [1, 2]}, []])
    assert (tensor.name, tensor.datatype, tensor.shape) == ("predictions", "BYTES", (2,))
    assert [json.loads(element) for element in tensor.data] == [{"é": [1, 2]}, []]
    assert "a kind of tomorrow" not in REGULAR


def test_rows_are_filled_up_when_instances_have_labels_of_their_own() -> None:
    rows = [[{"label": "a", "score": 0.5}, {"label": "b", "score": 0.25}], [{"label": "c", "score": 1.0}]]
    labels, scores = write_outputs("labels", rows)
    assert (labels.shape, list(labels.data)) == ((2, 2), [b"a", b"b", b"c", b""])
    assert list(scores.data) == [0.5, 0.25, 1.0, 0.0]


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({"stop": '["a", "b"]'}, {"stop": ["a", "b"]}),
        ({"stop": "a"}, {"stop": ["a"]}),
        ({"seed": 3, "binary_data_output": True}, {"seed": 3}),
        ({"sequence_id": 0, "priority": 0}, {}),
    ],
)
def test_lists_are_unfolded_and_the_servers_own_parameters_kept_back(
    given_: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert read_parameters("completion", given_) == expected


NUMBERS = {name: code for name, code in CODES.items() if name not in ("BOOL", "FP16", "FP32")}


@given(st.data())
def test_raw_form_reads_back(data: st.DataObject) -> None:
    datatype = data.draw(st.sampled_from(["BYTES", *NUMBERS]))
    element: st.SearchStrategy[Any] = st.binary(max_size=20)
    if datatype == "FP64":
        element = st.floats(allow_nan=False)
    elif datatype != "BYTES":
        bits = int(datatype.lstrip("UINT"))
        low, high = (0, 2**bits) if datatype.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1))
        element = st.integers(low, high - 1)
    values = data.draw(st.lists(element, max_size=20))
    tensor = Tensor("x", datatype, (len(values),), values)
    assert decode_raw("x", datatype, len(values), encode_raw(tensor)) == values


@given(st.binary(max_size=64), st.integers(0, 8), st.sampled_from(DATATYPES))
def test_any_raw_data_is_decoded_or_refused(raw: bytes, count: int, datatype: str) -> None:
    with suppress(InvalidInput):
        assert len(decode_raw("x", datatype, count, raw)) == count


def test_deep_nesting_is_flattened_without_recursion() -> None:
    deep: list[Any] = ["a"]
    for _ in range(100_000):
        deep = [deep]
    assert decode_json("x", "BYTES", 1, deep) == [b"a"]
    with pytest.raises(InvalidInput, match="asks for 2 elements"):
        decode_json("x", "BYTES", 2, deep)
    while deep and isinstance(deep[0], list):  # let go of it piece by piece: freeing it whole recurses as well
        deep = deep[0]
