"""Decoders of many families give what `generate` gives, with prompts of unequal length in one batch."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from modelservice_runtime.errors import UnusableModel
from tests.matrix.support.decoders import LONGEST, MAKERS, UNSUPPORTED, make_decoder
from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch
NEW_TOKENS = 20
PROMPTS = [
    "the quick brown fox",
    "Paris",
    "a server answers requests; every request has a prompt, and every prompt has tokens, naïve café",
    "red, blue and yellow are primary colours",
    "the",
]


def reference(folder: Path) -> list[str]:
    """The text of transformers' greedy `generate`, one prompt at a time."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    texts = []
    for prompt in PROMPTS:
        inputs = tokenizer(prompt, return_tensors="pt")
        with torch.inference_mode():
            output = model.generate(inputs["input_ids"], attention_mask=inputs["attention_mask"],
                                    max_new_tokens=NEW_TOKENS, do_sample=False)  # fmt: skip
        texts.append(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    return texts


def complete(server: RunningServer, prompt: str) -> str:
    answer = server.post("/v1/completions", prompt=prompt, max_tokens=NEW_TOKENS, temperature=0)
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["choices"][0]["text"]
    return text


@pytest.mark.parametrize("family", MAKERS)
def test_greedy_texts_are_those_of_generate_when_many_ask_at_once(family: str, tmp_path: Path) -> None:
    folder = MAKERS[family](tmp_path)
    expected = reference(folder)
    with running(folder) as server:
        assert server.admin.get("/status").json()["model"]["task"] in ("chat", "text-generation")
        with ThreadPoolExecutor(len(PROMPTS)) as clients:
            answers = list(clients.map(lambda prompt: complete(server, prompt), PROMPTS))
        together: dict[str, Any] = server.post(
            "/v1/completions", prompt=PROMPTS, max_tokens=NEW_TOKENS, temperature=0
        ).json()
    assert answers == expected
    assert [choice["text"] for choice in together["choices"]] == expected
    assert len(set(expected)) == len(PROMPTS)


@pytest.mark.parametrize("family", UNSUPPORTED)
def test_family_is_refused_by_name_when_it_cannot_be_batched(family: str, tmp_path: Path) -> None:
    name, changes = UNSUPPORTED[family]
    server = RunningServer(make_decoder(tmp_path, family=family, seed=0, **changes))
    with pytest.raises(UnusableModel, match=name) as raised:
        server.wait_ready()
    server.join()
    assert raised.value.exit_code == 65


def test_context_ends_where_positions_would_be_scaled_by_the_length_of_a_sequence(tmp_path: Path) -> None:
    with running(MAKERS["phi3"](tmp_path)) as server:
        assert server.admin.get("/status").json()["model"]["context"] == LONGEST // 2
        long = server.post("/v1/completions", prompt=[5] * (LONGEST // 2))
    assert (long.status_code, long.json()["error"]["param"]) == (400, "prompt")
