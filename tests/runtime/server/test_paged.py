"""transformers' continuous batching behind the same interface: the same greedy text, and refusals by name."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelservice_runtime.errors import UnusableModel
from tests.runtime.support.server import RunningServer, running, wait_until
from tests.runtime.support.tiny_adapters import make_adapter

pytestmark = pytest.mark.torch

PAGED = {"backend": "transformers", "max_concurrency": 8}
PROMPTS = ["the quick brown fox", "Paris", "a server answers requests; " * 5, "red", "blue and yellow are", "le café"]


@pytest.fixture(scope="module")
def server(decoder_folder: Path) -> Iterator[RunningServer]:
    with running(decoder_folder, engine=PAGED) as each:
        yield each


def complete(server: RunningServer, prompt: str, **options: Any) -> dict[str, Any]:
    body = {"prompt": prompt, "max_tokens": 24, "temperature": 0, **options}
    answer: dict[str, Any] = server.post("/v1/completions", **body).json()
    return answer


def test_greedy_text_is_that_of_the_slot_engine(server: RunningServer, decoder_folder: Path) -> None:
    with ThreadPoolExecutor(len(PROMPTS)) as pool:
        found = list(pool.map(lambda prompt: complete(server, prompt), PROMPTS))
    with running(decoder_folder) as slots:
        expected = [complete(slots, prompt) for prompt in PROMPTS]
    for paged, plain in zip(found, expected, strict=True):
        assert paged["choices"][0]["text"] == plain["choices"][0]["text"]
        assert paged["choices"][0]["finish_reason"] == plain["choices"][0]["finish_reason"]
        assert paged["usage"] == plain["usage"]


def test_stop_string_ends_the_text_on_this_side(server: RunningServer) -> None:
    whole = complete(server, PROMPTS[0])["choices"][0]["text"]
    stop = whole[4:7]
    choice = complete(server, PROMPTS[0], stop=[stop])["choices"][0]
    assert choice["text"] == whole[: whole.index(stop)]
    assert choice["finish_reason"] == "stop"


def test_greedy_and_sampled_requests_share_a_batch(server: RunningServer) -> None:
    alone = complete(server, PROMPTS[1])["choices"][0]["text"]
    with ThreadPoolExecutor(4) as pool:
        sampled = [pool.submit(complete, server, PROMPTS[0], temperature=1.2, top_p=0.9, top_k=20) for _ in range(3)]
        greedy = pool.submit(complete, server, PROMPTS[1])
        texts = {each.result()["choices"][0]["text"] for each in sampled}
    assert greedy.result()["choices"][0]["text"] == alone
    assert len(texts) > 1


def test_stream_gives_the_whole_text_in_pieces(server: RunningServer) -> None:
    whole = complete(server, PROMPTS[0])["choices"][0]["text"]
    body = {"model": "tiny", "prompt": PROMPTS[0], "max_tokens": 24, "temperature": 0, "stream": True}
    pieces = []
    with server.http.stream("POST", "/v1/completions", json=body) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                pieces += [choice["text"] for choice in json.loads(line[6:])["choices"]]
    assert len(pieces) > 3
    assert "".join(pieces) == whole


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("seed", 7), ("logprobs", 2), ("logit_bias", {"5": 3}), ("presence_penalty", 0.5), ("frequency_penalty", 0.5),
        ("repetition_penalty", 1.2),
    ],
)  # fmt: skip
def test_option_is_refused_by_name_when_transformers_cannot_do_it(
    server: RunningServer, option: str, value: Any
) -> None:
    body = {"prompt": "a", "max_tokens": 2, "temperature": 1, option: value}
    answer = server.post("/v1/completions", **body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == option
    assert "engine.backend" in answer.json()["error"]["message"]


def test_grammar_is_refused_by_name(server: RunningServer) -> None:
    answer = server.post("/v1/completions", prompt="a", response_format={"type": "json_object"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"].startswith("response_format")


def test_request_is_dropped_when_its_client_leaves(server: RunningServer) -> None:
    body = {"model": "tiny", "prompt": "a", "max_tokens": 250, "temperature": 0, "stream": True}
    url = f"http://127.0.0.1:{server.port}/v1/completions"
    with httpx.stream("POST", url, json=body) as answer:
        next(answer.iter_lines())
    wait_until(lambda: server.stats() == {"running": 0, "queued": 0}, "idle")
    task: Any = server.process.service.task
    assert not task.scheduler._runner._processor.has_pending_requests()


def test_accepted_requests_are_finished_when_the_server_drains(decoder_folder: Path) -> None:
    server = RunningServer(decoder_folder, engine=PAGED).wait_ready()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(complete, server, PROMPTS[0], max_tokens=200)
        wait_until(lambda: server.stats()["running"] == 1 or answer.done(), "running")
        server.stop(wait=False)
        assert answer.result()["usage"]["completion_tokens"] > 0
    server.join()


def test_backend_is_refused_when_it_cannot_serve_what_was_asked_for(
    decoder_folder: Path, classifier_folder: Path, tmp_path: Path
) -> None:
    adapters = {"adapters": [{"name": "poet", "path": str(make_adapter(tmp_path, decoder_folder, seed=3))}]}
    cases: list[tuple[Path, dict[str, Any], str]] = [
        (classifier_folder, {}, "models for text-classification"),
        (decoder_folder, adapters, "models with adapters"),
    ]
    for folder, naming, words in cases:
        server = RunningServer(folder, naming=naming, engine=PAGED)
        with pytest.raises(UnusableModel, match=words):
            server.wait_ready()
        server.join()
