"""Encoder-decoders for text give what `generate` gives, with sources of unequal length in one batch."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from tests.matrix.support.seq2seq import LONGEST, MAKERS
from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch
NEW_TOKENS = 20
TEXTS = [
    "the quick brown fox",
    "Paris",
    "a server answers requests; every request has a prompt, and every prompt has tokens, naïve café",
    "red, blue and yellow are primary colours",
    "the lazy dog",
    "every prompt has tokens and runs away from the angry bear",
]


def reference(folder: Path, texts: list[str]) -> list[tuple[list[int], str]]:
    """The tokens and the text of transformers' greedy `generate`, one text at a time."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    model.generation_config.forced_eos_token_id = None  # an answer cut by its length is not made to look finished
    answers = []
    for text in texts:
        with torch.inference_mode():
            output = model.generate(
                **tokenizer(text, return_tensors="pt"), max_new_tokens=NEW_TOKENS, do_sample=False, num_beams=1
            )[0, 1:].tolist()
        answers.append((output, tokenizer.decode(output, skip_special_tokens=True)))
    return answers


def complete(server: RunningServer, prompt: Any, **options: Any) -> dict[str, Any]:
    answer = server.post("/v1/completions", prompt=prompt, **{"max_tokens": NEW_TOKENS, "temperature": 0, **options})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize("family", MAKERS)
def test_answers_are_those_of_generate_when_many_ask_at_once(family: str, tmp_path: Path) -> None:
    folder = MAKERS[family](tmp_path)
    expected = reference(folder, TEXTS)
    with running(folder) as server:
        assert server.admin.get("/status").json()["model"]["task"] == "text2text-generation"
        with ThreadPoolExecutor(len(TEXTS)) as clients:
            answers = list(clients.map(lambda text: complete(server, text), TEXTS))
        predictions = server.http.post(
            "/v1/models/tiny:predict", json={"instances": TEXTS, "parameters": {"max_new_tokens": NEW_TOKENS}}
        ).json()["predictions"]
    assert [answer["choices"][0]["text"] for answer in answers] == [text for _, text in expected]
    assert [answer["usage"]["completion_tokens"] for answer in answers] == [len(tokens) for tokens, _ in expected]
    assert [prediction["text"] for prediction in predictions] == [text for _, text in expected]


def test_source_and_answer_are_refused_with_numbers_when_too_long(tmp_path: Path) -> None:
    folder = MAKERS["bart"](tmp_path)
    ids = AutoTokenizer.from_pretrained(folder)("the quick brown fox")["input_ids"]
    with running(folder, limits={"max_new_tokens": 30}) as server:
        long = server.post("/v1/completions", prompt=[3] * (LONGEST + 1))
        greedy = server.post("/v1/completions", prompt="a", max_tokens=31)
        unknown = server.post("/v1/completions", prompt=[100_000])
        assert complete(server, ids)["choices"] == complete(server, "the quick brown fox")["choices"]
        assert complete(server, ids)["usage"]["prompt_tokens"] == len(ids)
    found = [
        (answer.status_code, answer.json()["error"]["param"], answer.json()["error"]["message"])
        for answer in (long, greedy, unknown)
    ]
    assert [(status, field) for status, field, _ in found] == [(400, "prompt"), (400, "max_tokens"), (400, "prompt")]
    assert f"reads {LONGEST}" in found[0][2]
    assert "at most 30" in found[1][2]


def test_stream_and_sampling_work_as_for_decoders(tmp_path: Path) -> None:
    with running(MAKERS["t5"](tmp_path)) as server:
        sampled = [complete(server, "the quick", temperature=2.0, seed=7, n=2)["choices"] for _ in range(2)]
        with server.http.stream(
            "POST",
            "/v1/completions",
            json={"model": "tiny", "prompt": TEXTS[0], "max_tokens": NEW_TOKENS, "temperature": 0, "stream": True},
        ) as answer:
            events = [line for line in answer.iter_lines() if line.startswith("data: ")]
        assert server.post("/v1/chat/completions", messages=[{"role": "user", "content": "x"}]).status_code == 400
    assert sampled[0] == sampled[1]
    assert sampled[0][0]["text"] != sampled[0][1]["text"]
    assert events[-1] == "data: [DONE]"
