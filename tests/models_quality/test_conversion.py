"""The conversion's arithmetic, without torch and without a download."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from tests.models.bfloat16 import round_to_bfloat16, write_bfloat16
from tests.models.ctranslate2 import dequantize, read_model
from tests.models.sentiment.corpus import compose
from tests.models.sentiment.low_rank import DOWN, UP, mean_of, merge_updates


def as_float(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def test_rounding_goes_to_the_nearest_and_to_even_on_ties() -> None:
    exact = np.array([0.0, -0.0, 1.0, -2.5], np.float32)
    assert np.array_equal(as_float(round_to_bfloat16(exact)), exact)
    step = np.float32(2**-7)  # distance of bfloat16 numbers from 1 to 2
    ties = np.array([1 + step / 2, 1 + 3 * step / 2], np.float32)
    assert np.array_equal(as_float(round_to_bfloat16(ties)), np.array([1, 1 + 2 * step], np.float32))


def test_rounding_errs_by_less_than_half_a_step() -> None:
    values = np.random.default_rng(0).normal(size=10_000).astype(np.float32)
    assert np.all(np.abs(as_float(round_to_bfloat16(values)) - values) <= np.abs(values) * 2**-8)


def test_file_holds_what_was_announced(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    tensors = {"a": np.ones((2, 3), np.float32), "b": np.zeros(5, np.float32)}
    write_bfloat16(path, {name: value.shape for name, value in tensors.items()}, tensors.items())
    raw = path.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + length])
    assert (header["a"]["dtype"], header["a"]["shape"], header["b"]["data_offsets"]) == ("BF16", [2, 3], [12, 22])
    assert len(raw) == 8 + length + 22
    assert length % 8 == 0


def test_file_is_refused_when_a_tensor_is_not_the_announced_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="was announced"):
        write_bfloat16(tmp_path / "m.safetensors", {"a": (2,)}, [("a", np.ones(3, np.float32))])


def test_updates_are_added_and_new_tensors_join() -> None:
    base = {"w": np.ones((3, 2), np.float32), "kept": np.ones(1, np.float32)}
    down, up = np.array([[1.0, 2.0]], np.float32), np.array([[1.0], [0.0], [-1.0]], np.float32)
    merged = merge_updates(base, {f"w{DOWN}": down, f"w{UP}": up, "head": np.zeros(2, np.float32)})
    assert np.array_equal(merged["w"], np.array([[2, 3], [1, 1], [0, -1]], np.float32))
    assert set(merged) == {"w", "kept", "head"}


def test_update_is_refused_when_it_does_not_fit() -> None:
    update = {f"w{DOWN}": np.ones((1, 9), np.float32), f"w{UP}": np.ones((3, 1), np.float32)}
    with pytest.raises(ValueError, match="does not fit"):
        merge_updates({"w": np.ones((3, 2), np.float32)}, update)


def test_mean_of_runs_merges_to_the_mean_of_the_merged_weights() -> None:
    chance = np.random.default_rng(0)
    base = {"w": chance.normal(size=(3, 4)).astype(np.float32)}
    shapes = {f"w{DOWN}": (2, 4), f"w{UP}": (3, 2), "head": (5,)}
    runs = [{name: chance.normal(size=shape).astype(np.float32) for name, shape in shapes.items()} for _ in range(3)]
    merged = merge_updates(base, mean_of(runs))
    each = [merge_updates(base, run) for run in runs]
    for name in ("w", "head"):
        assert np.allclose(merged[name], np.mean([one[name] for one in each], axis=0), atol=1e-6)


def test_corpus_is_balanced_free_of_repeats_and_the_same_for_the_same_seed() -> None:
    examples = compose(500, seed=3)
    assert examples == compose(500, seed=3)
    assert examples != compose(500, seed=4)
    assert len({example.text for example in examples}) == 500
    assert sum(example.label for example in examples) == 250


def ctranslate2_file(variables: dict[str, np.ndarray], aliases: dict[str, str]) -> bytes:
    """A model as CTranslate2 writes it, version 6."""

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    kinds = {"float32": 0, "int8": 1, "float16": 4}
    data = struct.pack("<I", 6) + text("TestSpec") + struct.pack("<I", 1) + struct.pack("<I", len(variables))
    for name, array in variables.items():
        raw = array.tobytes()
        shape = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        data += text(name) + shape + struct.pack("<BI", kinds[str(array.dtype)], len(raw)) + raw
    data += struct.pack("<I", len(aliases))
    return data + b"".join(text(alias) + text(name) for alias, name in aliases.items())


def test_variables_of_ctranslate2_are_read_and_integers_scaled_by_row(tmp_path: Path) -> None:
    weight = np.array([[1, -2], [50, 100]], np.int8)
    variables = {"w": weight, "w_scale": np.array([2, 10], np.float32), "h": np.ones(3, np.float16)}
    path = tmp_path / "model.bin"
    path.write_bytes(ctranslate2_file(variables, {"tied": "h"}))
    found = read_model(path)
    assert np.array_equal(dequantize(found, "w"), np.array([[0.5, -1], [5, 10]], np.float32))
    assert np.array_equal(found["tied"], variables["h"])


def test_model_of_ctranslate2_is_refused_when_its_version_is_another(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(struct.pack("<I", 5))
    with pytest.raises(ValueError, match="version 5"):
        read_model(path)
