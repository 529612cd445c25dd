"""Prompts that are prefilled together give the logits of prompts that are prefilled alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from modelservice_runtime.models.decoder import CausalDecoder
from tests.runtime.support.tiny_models import make_decoder

pytestmark = pytest.mark.torch
PROMPTS = ([5, 9, 2, 7, 11, 3, 8], [4, 4, 13], [21, 6, 30, 1, 2])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = make_decoder(tmp_path_factory.mktemp("decoder"))
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def make_runner(model: Any) -> CausalDecoder:
    runner = CausalDecoder(model, 64, 8, 1 << 24)
    runner.reserve(4, 32, 0, 0)
    return runner


def plain(model: Any, prompt: list[int]) -> Any:
    with torch.inference_mode():
        return model(input_ids=torch.tensor([prompt])).logits[0, -1]


def test_group_gives_the_logits_of_each_prompt_alone_when_lengths_and_starts_differ(model: Any) -> None:
    runner = make_runner(model)
    runner.prefill(1, 0, PROMPTS[0][:3])
    logits = runner.prefill_group(1, [3, 0, 0], [PROMPTS[0][3:], PROMPTS[1], PROMPTS[2]])
    for row, prompt in enumerate(PROMPTS):
        torch.testing.assert_close(logits[row], plain(model, prompt), atol=1e-4, rtol=1e-4)


def test_rows_of_a_group_decode_as_if_they_had_been_computed_alone(model: Any) -> None:
    runner = make_runner(model)
    runner.prefill_group(0, [0, 0, 0], PROMPTS)
    logits = runner.decode([9, 8, 7], [len(prompt) for prompt in PROMPTS])
    for row, (prompt, token) in enumerate(zip(PROMPTS, (9, 8, 7), strict=True)):
        torch.testing.assert_close(logits[row], plain(model, [*prompt, token]), atol=1e-4, rtol=1e-4)


def test_group_leaves_the_rows_beside_it_alone(model: Any) -> None:
    runner = make_runner(model)
    runner.prefill(0, 0, PROMPTS[0])
    runner.prefill_group(1, [0, 0], PROMPTS[1:])
    torch.testing.assert_close(
        runner.decode([9], [len(PROMPTS[0])])[0], plain(model, [*PROMPTS[0], 9]), atol=1e-4, rtol=1e-4
    )


def test_prompts_are_computed_one_at_a_time_when_groups_give_other_logits(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = make_runner(model)
    runner.verify([3, 10, 17, 24, 31, 38, 45, 52])
    assert runner.group_rows > 1
    monkeypatch.setattr(CausalDecoder, "prefill_group", lambda self, row, starts, chunks: self._slots.move(2, row, 4))
    runner.verify([3, 10, 17, 24, 31, 38, 45, 52])
    assert runner.group_rows == 1
