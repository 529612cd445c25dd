"""Whatever stands where a safetensors header should be, a model is described or refused as unusable: nothing else."""

import json
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.sources.headers import TensorSummary
from modelservice_runtime.sources.inspect import inspect_folder
from tests.runtime.sources.folders import ModelFolder, make_model

SIZES = st.one_of(st.integers(-1, 4), st.sampled_from([2**31, 2**63, 2**64, 10**40, -(10**40)]))
JUNK = st.one_of(
    st.none(), st.booleans(), SIZES, st.floats(), st.text(max_size=3), st.just([]), st.just({}), st.just([[]])
)
SHAPES = st.one_of(JUNK, st.lists(st.one_of(SIZES, JUNK), max_size=3))
OFFSETS = st.one_of(JUNK, st.lists(st.one_of(SIZES, JUNK), max_size=3), st.just([0, 4]))
DTYPES = st.one_of(st.sampled_from(["F32", "BF16", "I64", "F7", ""]), JUNK)
TENSORS = st.one_of(JUNK, st.fixed_dictionaries({"dtype": DTYPES, "shape": SHAPES, "data_offsets": OFFSETS}))
HEADERS = st.one_of(JUNK, st.dictionaries(st.sampled_from(["w", "v", "", "__metadata__"]), TENSORS, max_size=3))
KEYS = (
    "architectures", "model_type", "text_config", "vision_config", "id2label", "num_labels", "max_position_embeddings",
    "num_hidden_layers", "num_attention_heads", "hidden_size", "head_dim", "layer_types", "auto_map", "_class_name",
)  # fmt: skip
CONFIGS = st.recursive(
    st.one_of(JUNK, st.sampled_from(["LlamaForCausalLM", "BertForSequenceClassification", ["GPT2LMHeadModel"]])),
    lambda inner: st.one_of(st.dictionaries(st.sampled_from(KEYS), inner, max_size=5), st.lists(inner, max_size=2)),
    max_leaves=8,
)


def framed(header: bytes, data: bytes) -> bytes:
    """A file with this header before its data."""
    return struct.pack("<Q", len(header)) + header + data


def read(content: bytes) -> TensorSummary | None:
    """What the file says; None when it is refused."""
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(content)
        file.flush()
        summary = TensorSummary()
        try:
            summary.add_file(Path(file.name))
        except UnusableModel:
            return None
        return summary


def assert_judged(header: Any, data: bytes) -> None:
    """What the library loads is described, with as many parameters; all else may only be refused."""
    content = framed(json.dumps(header).encode(), data)
    summary = read(content)
    try:
        loaded = load(content)
    except (SafetensorError, KeyError, TypeError, ValueError):  # dtypes of numpy alone raise the others
        return
    assert summary is not None
    assert summary.total == sum(array.size for array in loaded.values() if array.dtype.kind == "f")


@settings(max_examples=100, derandomize=True)
@given(header=HEADERS, data=st.binary(max_size=8))
@example(header={"w": {"dtype": "F32", "shape": [float("inf")], "data_offsets": [0, 4]}}, data=bytes(4))
@example(header={"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, float("inf")]}}, data=bytes(4))
@example(header={"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, data=bytes(4))
@example(header={"w": {"dtype": "F32", "shape": [10**4000] * 5, "data_offsets": [0, 4]}}, data=bytes(4))
def test_header_is_read_or_refused_whatever_it_says(header: Any, data: bytes) -> None:
    assert_judged(header, data)


@settings(max_examples=100, derandomize=True)
@given(content=st.binary(max_size=64), framing=st.booleans())
def test_bytes_are_read_or_refused_whatever_they_are(content: bytes, framing: bool) -> None:
    read(framed(content, b"") if framing else content)


@pytest.mark.thorough
@settings(max_examples=2000)
@given(header=HEADERS, data=st.binary(max_size=8))
def test_many_headers_are_read_or_refused_whatever_they_say(header: Any, data: bytes) -> None:
    assert_judged(header, data)


@settings(max_examples=100, derandomize=True)
@given(config=CONFIGS)
@example(config={"architectures": [None], "num_hidden_layers": 1, "num_attention_heads": 2**70, "hidden_size": 1})
def test_configuration_is_read_or_refused_whatever_it_says(config: Any) -> None:
    with tempfile.TemporaryDirectory() as path:
        folder = ModelFolder(Path(path)).with_config(config).with_weights(parameters=4)
        try:
            assert inspect_folder(folder.path).parameters == 4
        except UnusableModel:
            assert not isinstance(config, dict)


@pytest.mark.parametrize("name", ["config.json", "model_index.json", "model.safetensors.index.json"])
def test_file_that_is_nested_without_end_is_refused_by_name(tmp_path: Path, name: str) -> None:
    folder = ModelFolder(tmp_path).with_config().with_weights().with_file(name, "[" * 100_000)
    with pytest.raises(UnusableModel, match=name):
        inspect_folder(folder.path)


@pytest.mark.parametrize("shard", ["../other/model.safetensors", "/models/other/model.safetensors", "weights.bin"])
def test_index_that_names_files_elsewhere_is_refused(tmp_path: Path, shard: str) -> None:
    make_model(tmp_path / "other")
    index = json.dumps({"weight_map": {"weight": shard}})
    folder = make_model(tmp_path / "model").with_file("model.safetensors.index.json", index)
    with pytest.raises(UnusableModel, match="no safetensors file beside it"):
        inspect_folder(folder.path)
