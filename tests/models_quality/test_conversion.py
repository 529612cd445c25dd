"""The conversion's arithmetic, without torch and without a download."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from tests.models.bfloat16 import round_to_bfloat16, write_bfloat16
from tests.models.sentiment.corpus import compose
from tests.models.sentiment.low_rank import DOWN, UP, merge_updates


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


def test_corpus_is_balanced_free_of_repeats_and_the_same_for_the_same_seed() -> None:
    examples = compose(500, seed=3)
    assert examples == compose(500, seed=3)
    assert examples != compose(500, seed=4)
    assert len({example.text for example in examples}) == 500
    assert sum(example.label for example in examples) == 250
