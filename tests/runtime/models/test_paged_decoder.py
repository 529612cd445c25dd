"""transformers' batching, driven step by step: eviction and failures, which a server seldom shows."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from modelservice_runtime.engine.generation import Generation
from modelservice_runtime.engine.sampling import Sampling
from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.paged_decoder import PAGE, PagedDecoder
from tests.runtime.engine.doubles import Silent
from tests.runtime.support.tiny_models import make_decoder

pytestmark = pytest.mark.torch

BYTES_PER_TOKEN = 2 * 3 * 2 * 16 * 4
PROMPTS = [[3 + row, *range(10, 50)] for row in range(4)]
NEW_TOKENS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_decoder(tmp_path_factory.mktemp("decoder"))


def load(folder: Path) -> Any:
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    model.requires_grad_(False)
    return model


def run(decoder: PagedDecoder) -> dict[int, list[int]]:
    """Generate from all prompts; return all tokens of each."""
    tokens = {row: list(prompt) for row, prompt in enumerate(PROMPTS)}
    for row, prompt in enumerate(PROMPTS):
        decoder.add(str(row), Generation(prompt, NEW_TOKENS, Sampling(), frozenset(), Silent()))
    for _ in range(1000):
        decoder.step()
        for row, known in tokens.items():
            known.extend(decoder.fresh_tokens(str(row), len(known)))
        decoder.forget_finished()
        if all(len(tokens[row]) == len(prompt) + NEW_TOKENS for row, prompt in enumerate(PROMPTS)):
            break
    return tokens


def expected(folder: Path) -> dict[int, list[int]]:
    model = load(folder)
    return {
        row: model.generate(
            torch.tensor([prompt]), max_new_tokens=NEW_TOKENS, do_sample=False, eos_token_id=None, pad_token_id=1
        )[0].tolist()
        for row, prompt in enumerate(PROMPTS)
    }


@pytest.mark.parametrize("pages", [64, 5])
def test_tokens_are_those_of_generate_when_requests_are_evicted_or_not(folder: Path, pages: int) -> None:
    """Five pages hold two requests and a half at their full length."""
    decoder = PagedDecoder(load(folder), 256, 4, pages * PAGE * BYTES_PER_TOKEN)
    assert decoder.budget_tokens == min(pages, 16) * PAGE
    assert run(decoder) == expected(folder)


def test_decoder_works_again_after_a_step_that_failed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = PagedDecoder(load(folder), 256, 4, 64 * PAGE * BYTES_PER_TOKEN)
    decoder.add("0", Generation(PROMPTS[0], NEW_TOKENS, Sampling(), frozenset(), Silent()))
    with monkeypatch.context() as patch:
        patch.setattr(decoder._model, "forward", lambda **_: (_ for _ in ()).throw(ValueError("a shape")))
        with pytest.raises(ValueError, match="a shape"):
            decoder.step()
    decoder.clear()
    assert decoder.fresh_tokens("0", len(PROMPTS[0])) == ()
    assert run(decoder) == expected(folder)


def test_model_is_refused_when_the_memory_holds_less_than_a_page(folder: Path) -> None:
    with pytest.raises(UnusableModel, match="a page has 64"):
        PagedDecoder(load(folder), 256, 4, 10 * BYTES_PER_TOKEN)
