"""Prompts that begin alike are computed once, and answered as if they had been computed every time."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from modelservice_runtime.engine.prefix_cache import BLOCK
from modelservice_runtime.models.prefix_pool import PrefixPool
from tests.runtime.support.server import RunningServer, running
from tests.runtime.support.tiny_adapters import load_merged, make_adapter

pytestmark = pytest.mark.torch
NEW_TOKENS = 12
SYSTEM = [7 + (13 * place) % 250 for place in range(100)]
KNOWN = len(SYSTEM) // BLOCK * BLOCK
ALICE, BOB = "alice-key-0123456789", "bob-key-0123456789ab"


@pytest.fixture(scope="module")
def server(decoder_folder: Path) -> Iterator[RunningServer]:
    with running(decoder_folder) as each:
        yield each


class Reference:
    """The greedy text of transformers' `generate`."""

    def __init__(self, folder: Path, model: Any) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = model

    def __call__(self, prompt: list[int]) -> str:
        with torch.inference_mode():
            made = self.model.generate(torch.tensor([prompt]), max_new_tokens=NEW_TOKENS, do_sample=False)
        text: str = self.tokenizer.decode(made[0, len(prompt) :], skip_special_tokens=True)
        return text


@pytest.fixture(scope="module")
def generate(decoder_folder: Path) -> Reference:
    return Reference(decoder_folder, AutoModelForCausalLM.from_pretrained(decoder_folder, dtype=torch.float32))


def complete(server: RunningServer, prompt: list[int], headers: Any = None, **body: Any) -> tuple[str, int]:
    """Return the text of an answer, and how many tokens of the prompt were known."""
    asked = {"model": "tiny", "prompt": prompt, "max_tokens": NEW_TOKENS, "temperature": 0, **body}
    answer = server.http.post("/v1/completions", json=asked, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["text"], answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"]


def test_text_equals_generate_when_all_or_a_part_of_the_prompt_is_known(
    server: RunningServer, generate: Reference
) -> None:
    prompts = [[*SYSTEM, 40], [*SYSTEM, 41, 42, 43], SYSTEM, SYSTEM, [*SYSTEM[:70], 44, 45], SYSTEM[:50]]
    answers = [complete(server, prompt) for prompt in prompts]
    assert [text for text, _ in answers] == [generate(prompt) for prompt in prompts]
    assert [known for _, known in answers] == [0, KNOWN, KNOWN, KNOWN, 64, 48]


def test_text_equals_generate_when_prompts_that_begin_alike_come_at_once(
    server: RunningServer, generate: Reference
) -> None:
    system = SYSTEM[::-1]
    prompts = [[*system[: 100 - 9 * (i % 3)], *range(20 + i, 22 + 3 * i)] for i in range(12)]
    with ThreadPoolExecutor(len(prompts)) as clients:
        answers = list(clients.map(lambda prompt: complete(server, prompt), prompts))
    assert [text for text, _ in answers] == [generate(prompt) for prompt in prompts]
    assert sum(known > 0 for _, known in answers) >= len(prompts) - 3


def test_seed_gives_the_same_text_with_and_without(server: RunningServer, decoder_folder: Path) -> None:
    prompt, options = [*SYSTEM[50:], *SYSTEM], {"temperature": 0.8, "seed": 5, "n": 3}
    with running(decoder_folder, engine={"prefix_cache": False}) as plain:
        expected = [complete(plain, prompt, **options) for _ in range(2)]
        assert "prefix_cache" not in plain.admin.get("/metrics").text
    found = [complete(server, prompt, **options) for _ in range(2)]
    assert [known for _, known in expected] == [0, 0]
    assert [known for _, known in found] == [0, 144]
    assert {text for text, _ in found} == {text for text, _ in expected}


def test_every_protocol_tells_what_was_known_and_metrics_count_it(server: RunningServer) -> None:
    messages = [
        {"role": "system", "content": "red, blue and yellow are colours; " * 6},
        {"role": "user", "content": "a"},
    ]
    server.post("/v1/chat/completions", messages=messages, max_tokens=1)
    before = counters(server)
    chat = server.post("/v1/chat/completions", messages=messages, max_tokens=1).json()["usage"]
    known = chat["prompt_tokens_details"]["cached_tokens"]
    assert 0 < known < chat["prompt_tokens"]
    with server.http.stream(
        "POST",
        "/v1/chat/completions",
        json={
            "model": "tiny",
            "messages": messages,
            "max_tokens": 1,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ) as response:
        chunks = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: {")]
    assert json.loads(chunks[-1])["usage"] == chat
    responses = server.post("/v1/responses", input=messages, max_output_tokens=1).json()["usage"]
    assert responses["input_tokens_details"]["cached_tokens"] == known
    grown = {name: value - before[name] for name, value in counters(server).items()}
    assert grown == {
        'inference_prefix_cache_queries_tokens_total{model="tiny"}': 3 * chat["prompt_tokens"],
        'inference_prefix_cache_hits_tokens_total{model="tiny"}': 3 * known,
        'vllm:prefix_cache_queries_total{model_name="tiny"}': 3 * chat["prompt_tokens"],
        'vllm:prefix_cache_hits_total{model_name="tiny"}': 3 * known,
        'inference_tokens_total{direction="prompt_cached",model="tiny"}': 3 * known,
    }


def counters(server: RunningServer) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in server.admin.get("/metrics").text.splitlines() if line[0] != "#"]
    return {name: float(value) for name, _, value in lines if "prefix_cache" in name or "prompt_cached" in name}


def test_callers_with_keys_of_their_own_share_nothing(decoder_folder: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"alice:{ALICE}\nbob:{BOB}\n")
    with running(decoder_folder, security={"api_key_file": str(keys)}) as server:
        known = [
            complete(server, [*SYSTEM, 50 + turn], headers={"authorization": f"Bearer {key}"})[1]
            for turn, key in enumerate((ALICE, BOB, ALICE, BOB))
        ]
    assert known == [0, 0, KNOWN, KNOWN]


def test_adapters_have_beginnings_of_their_own(decoder_folder: Path, tmp_path: Path, generate: Reference) -> None:
    poet = make_adapter(tmp_path, decoder_folder, seed=3)
    adapted = Reference(decoder_folder, load_merged(decoder_folder, poet))
    with running(decoder_folder, naming={"adapters": f"poet={poet}"}) as server:
        prompt = [*SYSTEM, 60]
        answers = [complete(server, prompt, model=name) for name in ("tiny", "poet", "tiny", "poet")]
    assert answers == [(generate(prompt), 0), (adapted(prompt), 0), (generate(prompt), KNOWN), (adapted(prompt), KNOWN)]


def test_nothing_is_kept_when_a_copy_does_not_give_the_same_logits(
    decoder_folder: Path, generate: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PrefixPool, "load", lambda *_: None)
    with running(decoder_folder) as server:
        assert [complete(server, SYSTEM) for _ in range(2)] == [(generate(SYSTEM), 0)] * 2
        assert "prefix_cache" not in server.admin.get("/metrics").text
