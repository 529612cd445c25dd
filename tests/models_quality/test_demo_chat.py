"""demo-chat is a real language model: converted without loss of meaning, it answers as SmolLM2 does."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.models import build_model
from tests.models.chat_trials import share_of_facts, share_of_parsed_calls, share_of_valid_json
from tests.runtime.support.server import RunningServer, running

pytestmark = [pytest.mark.torch, pytest.mark.timeout(400)]
NEW_TOKENS = 24
QUESTIONS = [
    "What is the capital of France?",
    "Name the primary colours.",
    "Write one sentence about the sea, the wind and a small boat that comes home late in the evening.",
    "2 + 2 =",
    "Qu'est-ce qu'un nuage ?",
    "List three animals.",
    "Why is the sky blue?",
    "hello",
]


@pytest.fixture(scope="module")
def generate():
    """The new tokens that transformers' greedy `generate` gives in float32, and their text."""
    folder = build_model("demo-chat")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def ask(question: str) -> tuple[list[int], str]:
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        with torch.inference_mode():
            output = model.generate(**prompt, max_new_tokens=NEW_TOKENS, do_sample=False)
        new = output[0, prompt["input_ids"].shape[1] :]
        return new.tolist(), tokenizer.decode(new, skip_special_tokens=True)

    return ask


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running(build_model("demo-chat"), name="demo-chat", engine={"dtype": "float32"}) as server:
        yield server


def test_server_gives_the_tokens_of_generate_when_asked_in_float32_by_many_at_once(generate, server) -> None:
    def ask(question: str) -> tuple[int, str]:
        messages = [{"role": "user", "content": question}]
        body = {"model": "demo-chat", "messages": messages, "max_tokens": NEW_TOKENS, "temperature": 0}
        answer = server.post("/v1/chat/completions", **body).json()
        return answer["usage"]["completion_tokens"], answer["choices"][0]["message"]["content"]

    with ThreadPoolExecutor(len(QUESTIONS)) as clients:
        answers = list(clients.map(ask, QUESTIONS))
    expected = [generate(question) for question in QUESTIONS]
    assert answers == [(len(tokens), text) for tokens, text in expected]


def test_answer_names_paris_when_asked_for_the_capital_of_france(generate) -> None:
    assert "Paris" in generate("What is the capital of France?")[1]


def test_answer_names_the_primary_colours_when_asked_for_them(generate) -> None:
    _, text = generate("What are the three primary colors?")
    assert all(colour in text for colour in ("Red", "Blue", "Yellow"))


def test_tokenizer_splits_numbers_into_digits_and_keeps_control_tokens_whole() -> None:
    tokenizer = AutoTokenizer.from_pretrained(build_model("demo-chat"))
    assert tokenizer.tokenize("in 1984") == ["in", "Ġ", "1", "9", "8", "4"]
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") == tokenizer.eos_token_id == 2
    assert tokenizer.decode(tokenizer.encode("naïve 日本 🙂\n\tx")) == "naïve 日本 🙂\n\tx"


def test_answers_follow_schemas_and_calls_parse(server: RunningServer) -> None:
    def ask(**body: Any) -> dict[str, Any]:
        answer = server.post("/v1/chat/completions", **{**body, "model": "demo-chat"})
        assert answer.status_code == 200, answer.text
        choice: dict[str, Any] = answer.json()["choices"][0]
        return choice

    assert share_of_facts(ask) == 1.0
    assert share_of_valid_json(ask) == 1.0
    assert share_of_parsed_calls(ask) == 1.0
