"""Rows of a decode step that are computed in runs of like lengths give what each gives alone."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM

from modelservice_runtime.models import row_attention
from modelservice_runtime.models.decoder import CausalDecoder
from modelservice_runtime.models.row_attention import divide

pytestmark = pytest.mark.torch
LENGTHS = (40, 3, 5, 4, 60, 2)
SMALL: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 12,
    "initializer_range": 0.2,
}


def make_llama() -> Any:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SMALL)).eval()


def make_gemma() -> Any:
    torch.manual_seed(0)
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    return Gemma3ForCausalLM(Gemma3TextConfig(**SMALL, layer_types=kinds, sliding_window=7)).eval()


def prompt(row: int) -> list[int]:
    return [(5 * place + 11 * row + 3) % 97 for place in range(LENGTHS[row])]


@pytest.mark.parametrize("make", [make_llama, make_gemma])
def test_rows_of_different_lengths_give_what_each_gives_alone(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_attention, "CALL_BYTES", 512)
    model = make()
    runner = CausalDecoder(model, 128, 8, 1 << 24)
    runner.reserve(len(LENGTHS), 64, 0, 0)
    for row in range(len(LENGTHS)):
        runner.prefill(row, 0, prompt(row))
    logits = runner.decode([9] * len(LENGTHS), LENGTHS)
    assert len(divide(LENGTHS, 512 // 192)) > 2
    for row in range(len(LENGTHS)):
        with torch.inference_mode():
            plain = model(input_ids=torch.tensor([[*prompt(row), 9]])).logits[0, -1]
        torch.testing.assert_close(logits[row], plain, atol=1e-4, rtol=1e-4)


def test_one_long_row_is_a_run_of_its_own() -> None:
    assert divide((2, 1, 900, 0, 3), 100) == ((0, 2), (2, 3), (3, 5))


def test_rows_of_about_one_length_are_one_run() -> None:
    assert divide((20, 1, 30, 0, 3), 100) == ((0, 5),)


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=24), st.integers(1, 500))
def test_runs_cover_all_rows_in_order_and_never_read_more_than_one_run_would(lengths: list[int], overhead: int) -> None:
    runs = divide(tuple(lengths), overhead)
    assert (runs[0][0], runs[-1][1]) == (0, len(lengths))
    assert all(first[1] == second[0] for first, second in pairwise(runs))
    cost = sum((end - first) * max(lengths[first:end]) + overhead for first, end in runs)
    assert cost <= len(lengths) * max(lengths) + overhead
