"""Adapters fit the layers of many families: rows with different ones get the logits of peft's merged models."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from modelservice_runtime.models.adapted_decoder import AdaptedDecoder
from modelservice_runtime.models.lora import load_adapters
from tests.matrix.support.decoders import MAKERS
from tests.runtime.support.tiny_adapters import load_merged, make_adapter

pytestmark = pytest.mark.torch
PROMPTS = [tuple(range(5, 12)), tuple(range(40, 60)), (7, 9, 11), (300, 20, 100, 4)]
NAMES = ("first", "", "second", "first")


@pytest.mark.parametrize("family", ["gpt2", "opt", "gpt_neox", "phi3", "qwen2_moe"])
def test_logits_are_those_of_merged_models_when_rows_have_different_adapters(family: str, tmp_path: Path) -> None:
    base = MAKERS[family](tmp_path / "base")
    adapters = {
        name: make_adapter(tmp_path / name, base, seed=seed, r=2 + seed, target_modules="all-linear")
        for seed, name in enumerate(("first", "second"))
    }
    model = AutoModelForCausalLM.from_pretrained(base).eval()
    bank = load_adapters(model, {name: str(folder) for name, folder in adapters.items()})
    decoder = AdaptedDecoder(model, bank, 64, 8, 1 << 24)
    decoder.reserve(len(PROMPTS), 32, 0, 0)
    for row, (name, prompt) in enumerate(zip(NAMES, PROMPTS, strict=True)):
        decoder.begin(row, name)
        decoder.prefill(row, 0, prompt[:-1])
    ours = decoder.decode([prompt[-1] for prompt in PROMPTS], [len(prompt) - 1 for prompt in PROMPTS])
    for row, (name, prompt) in enumerate(zip(NAMES, PROMPTS, strict=True)):
        with torch.inference_mode():
            merged = load_merged(base, adapters.get(name))(input_ids=torch.tensor([prompt])).logits[0, -1]
        torch.testing.assert_close(ours[row], merged, atol=1e-4, rtol=1e-4)
