"""Recorded decode steps give what plain ones give, by a stand-in that records a callable instead of kernels."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from modelservice_runtime.models import accelerator
from modelservice_runtime.models.decode_graphs import GraphedDecoder, bucket_rows, bucket_span
from modelservice_runtime.models.decoder import CausalDecoder
from tests.runtime.support.tiny_models import make_decoder

pytestmark = pytest.mark.torch

BUDGET = 1 << 26
PROMPTS = [[3 + row, *range(10, 20 + 9 * row)] for row in range(6)]


class Recorder:
    """Records by keeping the function: its shapes and buffers are frozen as those of a CUDA graph are."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0
        self.failure: Exception | None = None

    def capture(self, function: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        if self.failure is not None:
            raise self.failure
        output = function()
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            output.copy_(function())

        return torch.inference_mode()(replay), output


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(accelerator, "capture", recorder.capture)
    return recorder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    loaded = AutoModelForCausalLM.from_pretrained(make_decoder(Path(tmp_path_factory.mktemp("decoder")))).eval()
    loaded.requires_grad_(False)
    return loaded


def fill(decoder: CausalDecoder, rows: int) -> None:
    for row, prompt in enumerate(PROMPTS[:rows]):
        decoder.reserve(rows, 70, row, 60)
        decoder.prefill(row, 0, prompt)


def step(decoder: CausalDecoder, rows: int, turn: int) -> Any:
    positions = [len(prompt) + turn for prompt in PROMPTS[:rows]]
    return decoder.decode([40 + row + turn for row in range(rows)], positions)


def test_sizes_are_few_and_hold_what_they_are_for() -> None:
    assert [bucket_rows(rows) for rows in (1, 2, 3, 4, 5, 8, 9, 64)] == [1, 2, 4, 4, 8, 8, 16, 64]
    assert [bucket_span(span) for span in (1, 128, 129, 300, 4000)] == [128, 128, 256, 512, 4096]


@pytest.mark.parametrize("rows", [1, 3, 5])
def test_recorded_step_gives_the_logits_of_a_plain_one(model: Any, recorder: Recorder, rows: int) -> None:
    plain, graphed = CausalDecoder(model, 256, 16, BUDGET), GraphedDecoder(model, 256, 16, BUDGET)
    for decoder in (plain, graphed):
        fill(decoder, rows)
    for turn in range(4):
        torch.testing.assert_close(step(graphed, rows, turn), step(plain, rows, turn), rtol=1e-4, atol=1e-4)
    assert recorder.recorded == 1
    assert recorder.replayed == 4


def test_row_that_is_being_filled_is_not_spoiled_by_rows_that_pad_a_batch(model: Any, recorder: Recorder) -> None:
    """Three rows are decoded in a batch of four, while the fourth row holds a half-read prompt."""
    plain, graphed = CausalDecoder(model, 256, 16, BUDGET), GraphedDecoder(model, 256, 16, BUDGET)
    logits = []
    for decoder in (plain, graphed):
        fill(decoder, 3)
        decoder.reserve(4, 70, 3, 60)
        decoder.prefill(3, 0, PROMPTS[3][:10])
        step(decoder, 3, 0)
        logits.append(decoder.prefill(3, 10, PROMPTS[3][10:]))
    torch.testing.assert_close(logits[1], logits[0], rtol=1e-4, atol=1e-4)


def test_step_is_recorded_again_when_the_cache_has_moved(model: Any, recorder: Recorder) -> None:
    plain, graphed = CausalDecoder(model, 256, 16, BUDGET), GraphedDecoder(model, 256, 16, BUDGET)
    for decoder in (plain, graphed):
        fill(decoder, 2)
        step(decoder, 2, 0)
        decoder.reserve(2, 200, 2, 60)
    torch.testing.assert_close(step(graphed, 2, 1), step(plain, 2, 1), rtol=1e-4, atol=1e-4)
    assert recorder.recorded == 2


def test_plain_steps_go_on_with_the_reason_logged_when_recording_fails(
    model: Any, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.failure = RuntimeError("operation not permitted when stream is capturing")
    plain, graphed = CausalDecoder(model, 256, 16, BUDGET), GraphedDecoder(model, 256, 16, BUDGET)
    with caplog.at_level(logging.WARNING):
        for decoder in (plain, graphed):
            fill(decoder, 3)
        for turn in range(2):
            torch.testing.assert_close(step(graphed, 3, turn), step(plain, 3, turn), rtol=1e-4, atol=1e-4)
    assert "not permitted" in caplog.records[-1].__dict__["reason"]
    assert sum(record.message == "decode steps run without CUDA graphs" for record in caplog.records) == 1


def test_plain_step_is_taken_when_the_budget_holds_no_whole_batch(model: Any, recorder: Recorder) -> None:
    per_token = CausalDecoder(model, 256, 16, BUDGET).bytes_per_token
    graphed = GraphedDecoder(model, 256, 16, 3 * 128 * per_token)
    fill(graphed, 3)
    assert step(graphed, 3, 0).shape[0] == 3
    assert recorder.recorded == 0


def test_model_agrees_with_itself_when_steps_are_recorded(model: Any, recorder: Recorder) -> None:
    GraphedDecoder(model, 256, 16, BUDGET).verify(list(range(3, 27)))
    assert recorder.replayed > 0
