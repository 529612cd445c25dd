import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.runtime.support.server import RunningServer, running, wait_until

pytestmark = pytest.mark.torch

PROMPTS = [
    "the quick brown fox",
    "a",
    "every request has a prompt, and every prompt has tokens; " * 3,
    "le café coûte 3 €",
    "red, blue and yellow are primary colours",
    "Paris",
    "the lazy dog runs away from the angry bear " * 5,
    "smörgåsbord",
]


@pytest.fixture(scope="module")
def server(decoder_folder: Path) -> Iterator[RunningServer]:
    with running(decoder_folder) as server:
        yield server


@pytest.fixture(scope="module")
def reference(decoder_folder: Path) -> Any:
    """Return greedy continuations as transformers' generate makes them, as text."""
    tokenizer = AutoTokenizer.from_pretrained(decoder_folder)
    model = AutoModelForCausalLM.from_pretrained(decoder_folder, dtype=torch.float32)

    def generate(prompt: str, new: int) -> str:
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        output = model.generate(ids, max_new_tokens=new, do_sample=False)
        text: str = tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)
        return text

    return generate


def complete(server: RunningServer, prompt: str, **body: Any) -> dict[str, Any]:
    response = server.post("/v1/completions", prompt=prompt, **{"temperature": 0, "max_tokens": 24, **body})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def stream(server: RunningServer, path: str, **body: Any) -> list[dict[str, Any]]:
    """Return the chunks of a stream, which must end with [DONE]."""
    with server.http.stream("POST", path, json={"model": "tiny", "stream": True, **body}) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        events = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    return [json.loads(event) for event in events[:-1]]


def test_greedy_text_equals_generate_when_alone(server: RunningServer, reference: Any) -> None:
    for prompt in PROMPTS:
        assert complete(server, prompt)["choices"][0]["text"] == reference(prompt, 24)


def test_greedy_text_equals_generate_when_batched_with_others(server: RunningServer, reference: Any) -> None:
    jobs = [(prompt, 8 + 5 * index) for index, prompt in enumerate(PROMPTS * 2)]
    with ThreadPoolExecutor(len(jobs)) as pool:
        answers = list(pool.map(lambda job: complete(server, job[0], max_tokens=job[1]), jobs))
    for (prompt, new), answer in zip(jobs, answers, strict=True):
        assert answer["choices"][0]["text"] == reference(prompt, new)
    rows = [
        line
        for line in server.admin.get("/metrics").text.splitlines()
        if 'le="1.0",model="tiny",phase="decode"' in line
    ]
    whole = [
        line
        for line in server.admin.get("/metrics").text.splitlines()
        if 'batch_size_count{model="tiny",phase="decode"' in line
    ]
    assert float(rows[0].split()[-1]) < float(whole[0].split()[-1])


def test_chat_uses_the_models_template(server: RunningServer, reference: Any) -> None:
    answer = server.post(
        "/v1/chat/completions",
        messages=[
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]},
        ],
        temperature=0,
        max_completion_tokens=12,
    ).json()
    prompt = "<|start|>system\nbe brief<|end|>\n<|start|>user\nhello<|end|>\n<|start|>assistant\n"
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": reference(prompt, 12), "refusal": None}
    assert answer["object"] == "chat.completion"
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]


@pytest.mark.parametrize("sampling", [{"temperature": 0}, {"temperature": 1.2, "top_p": 0.9, "seed": 5}])
def test_stream_gives_the_same_text_as_the_unary_call(server: RunningServer, sampling: dict[str, Any]) -> None:
    body = {"prompt": PROMPTS[3], "max_tokens": 40, **sampling}
    chunks = stream(server, "/v1/completions", **body, stream_options={"include_usage": True})
    unary = server.post("/v1/completions", **body).json()
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks[:-1]) == unary["choices"][0]["text"]
    assert chunks[-2]["choices"][0]["finish_reason"] == unary["choices"][0]["finish_reason"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == unary["usage"]


def test_chat_stream_begins_with_the_role_and_has_no_usage_unasked(server: RunningServer) -> None:
    chunks = stream(
        server, "/v1/chat/completions", messages=[{"role": "user", "content": "hello"}], max_tokens=8, temperature=0
    )
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert all(chunk["object"] == "chat.completion.chunk" and "usage" not in chunk for chunk in chunks)


def test_seed_decides_the_text_whatever_runs_beside_it(server: RunningServer) -> None:
    body = {"temperature": 1.0, "seed": 42, "max_tokens": 30}
    alone = complete(server, PROMPTS[0], **body)["choices"][0]["text"]
    with ThreadPoolExecutor(8) as pool:
        noise = [pool.submit(complete, server, prompt, temperature=1.0, max_tokens=50) for prompt in PROMPTS]
        beside = complete(server, PROMPTS[0], **body)["choices"][0]["text"]
        for job in noise:
            job.result()
    assert alone == beside
    assert alone != complete(server, PROMPTS[0], **{**body, "seed": 43})["choices"][0]["text"]


def test_choices_differ_and_repeat_when_n_is_asked_with_a_seed(server: RunningServer) -> None:
    body = {"temperature": 1.0, "seed": 1, "n": 3, "max_tokens": 20}
    first, second = complete(server, "the", **body), complete(server, "the", **body)
    texts = [choice["text"] for choice in first["choices"]]
    assert len(set(texts)) == 3
    assert texts == [choice["text"] for choice in second["choices"]]
    assert first["usage"]["prompt_tokens"] == complete(server, "the")["usage"]["prompt_tokens"]


def test_text_ends_before_a_stop_string(server: RunningServer) -> None:
    whole = complete(server, PROMPTS[4], max_tokens=40)["choices"][0]["text"]
    stop = whole[10:14]
    answer = complete(server, PROMPTS[4], max_tokens=40, stop=["never there", stop])["choices"][0]
    assert answer["text"] == whole[: whole.index(stop)]
    assert answer["finish_reason"] == "stop"


def test_several_prompts_and_token_prompts_are_answered_in_order(server: RunningServer, decoder_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(decoder_folder)
    ids = [tokenizer(prompt)["input_ids"] for prompt in PROMPTS[:3]]
    by_text = server.post("/v1/completions", prompt=PROMPTS[:3], temperature=0).json()
    by_ids = server.post("/v1/completions", prompt=ids, temperature=0).json()
    assert by_text["choices"] == by_ids["choices"]
    assert [choice["index"] for choice in by_text["choices"]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"prompt": "a", "foo": 1}, "foo", "unknown field"),
        ({"prompt": "a", "temperature": 3}, "temperature", "less than or equal to 2"),
        ({"prompt": "a", "temperature": -1}, "temperature", "greater than or equal to 0"),
        ({"prompt": "a", "logit_bias": {"x": 1}}, "logit_bias.x", "string should match"),
        ({"prompt": "a", "logit_bias": {"999999": 1}}, "logit_bias", "vocabulary"),
        ({"prompt": "a", "presence_penalty": 3}, "presence_penalty", "less than or equal to 2"),
        ({"prompt": "a", "n": 9}, "n", "less than or equal to 8"),
        ({"prompt": "a", "stop": ["x"] * 17}, "stop", "16"),
        ({"prompt": ""}, "prompt", "empty"),
        ({"prompt": [400000]}, "prompt", "vocabulary"),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"prompt": "a", "max_tokens": 300}, "max_tokens", "256"),
        ({"prompt": "the " * 400}, "prompt", "context is 256 tokens"),
        ({"prompt": "a", "stream_options": {"include_usage": True}}, None, "stream: true"),
        ({}, "prompt", "required"),
    ],
)
def test_request_is_refused_naming_the_field_when_invalid(
    server: RunningServer, body: dict[str, Any], param: str | None, words: str
) -> None:
    response = server.post("/v1/completions", **body)
    error = response.json()["error"]
    assert response.status_code == 400
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert words in error["message"]


@pytest.mark.parametrize("text", ['{"model": "tiny", "prompt": "a", "temperature": NaN}', "{", "[]", ""])
def test_body_is_refused_when_it_is_no_finite_json_object(server: RunningServer, text: str) -> None:
    response = server.http.post("/v1/completions", content=text, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]["message"]


def test_tool_is_refused_naming_its_field_when_it_is_no_function(server: RunningServer) -> None:
    response = server.post(
        "/v1/chat/completions", messages=[{"role": "user", "content": "a"}], tools=[{"type": "function"}]
    )
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "tools.0.function"


def test_served_name_is_told_when_another_is_asked_for(server: RunningServer) -> None:
    response = server.http.post("/v1/completions", json={"model": "gpt-4", "prompt": "a"})
    assert response.status_code == 404
    assert "'tiny'" in response.json()["error"]["message"]
    assert response.json()["error"]["code"] == "model_not_found"


def test_right_endpoint_is_told_when_the_task_is_another(server: RunningServer) -> None:
    response = server.post("/v1/embeddings", input="a")
    assert response.status_code == 400
    assert "/v1/chat/completions" in response.json()["error"]["message"]


def test_unknown_path_and_method_are_answered_in_the_same_shape(server: RunningServer) -> None:
    assert server.http.get("/v1/nothing").json()["error"]["code"] == "not_found"
    assert server.http.get("/v1/completions").status_code == 405


def test_model_is_listed(server: RunningServer) -> None:
    listed = server.http.get("/v1/models").json()
    assert [(card["id"], card["task"], card["max_model_len"]) for card in listed["data"]] == [("tiny", "chat", 256)]
    assert server.http.get("/v1/models/tiny").json() == listed["data"][0]


def test_description_has_the_endpoints_of_the_loaded_task(server: RunningServer) -> None:
    assert "/v1/chat/completions" in server.http.get("/openapi.json").json()["paths"]


LONG = {"prompt": "a", "max_tokens": 250, "temperature": 1.0, "seed": 1}


def leave_stream(server: RunningServer) -> None:
    with server.http.stream("POST", "/v1/completions", json={"model": "tiny", **LONG, "stream": True}) as response:
        next(response.iter_lines())
        wait_until(lambda: server.stats()["running"] == 1, "the request runs")


def leave_unary(server: RunningServer) -> None:
    with httpx.Client(base_url=server.http.base_url, timeout=0.3) as client, pytest.raises(httpx.TimeoutException):
        client.post("/v1/completions", json={"model": "tiny", **LONG})


@pytest.mark.parametrize("leave", [leave_stream, leave_unary])
def test_slot_is_freed_when_the_client_leaves(
    slow_server: RunningServer, leave: Callable[[RunningServer], None]
) -> None:
    leave(slow_server)
    wait_until(lambda: slow_server.stats()["running"] == 0, "the slot was freed")
    told = 'inference_requests_cancelled_total{model="tiny",reason="disconnect"}'
    wait_until(lambda: told in slow_server.admin.get("/metrics").text, "the cancellation was counted")


def test_request_is_refused_with_429_when_the_queue_is_full(slow_server: RunningServer) -> None:
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(slow_server.post, "/v1/completions", **{**LONG, "max_tokens": 60}) for _ in range(8)]
        responses = [job.result() for job in jobs]
    refused = [response for response in responses if response.status_code == 429]
    assert 1 <= len(refused) < 8
    assert refused[0].headers["retry-after"] == "1"
    assert refused[0].json()["error"]["code"] == "queue_full"
    assert all(response.status_code in (200, 429) for response in responses)
    assert (
        'inference_requests_rejected_total{model="tiny",reason="queue_full"}' in slow_server.admin.get("/metrics").text
    )


def test_full_queue_refuses_before_a_request_is_prepared(slow_server: RunningServer) -> None:
    unknown_token = {"prompt": [10**6], "max_tokens": 1}
    assert slow_server.post("/v1/completions", **unknown_token).status_code == 400
    limit = slow_server.settings.limits.max_queue
    with ThreadPoolExecutor(16) as pool:
        jobs = [pool.submit(slow_server.post, "/v1/completions", **{**LONG, "max_tokens": 60}) for _ in range(16)]
        wait_until(lambda: slow_server.stats()["queued"] == limit, "the queue is full", 5)
        refused = slow_server.post("/v1/completions", **unknown_token)
        for job in jobs:
            job.result()
    assert refused.status_code == 429


def test_request_ends_with_504_when_it_takes_too_long(decoder_folder: Path) -> None:
    with running(decoder_folder, limits={"request_seconds": 0.2}) as server, slowed(server):
        response = server.post("/v1/completions", **LONG)
        assert response.status_code == 504
        wait_until(lambda: server.stats()["running"] == 0, "the slot was freed", 2)


@pytest.fixture(scope="module")
def slow_server(decoder_folder: Path) -> Iterator[RunningServer]:
    """A server of one slot and a queue of two, whose steps take 20 ms."""
    with running(decoder_folder, engine={"max_concurrency": 1}, limits={"max_queue": 2}) as server, slowed(server):
        yield server


@contextmanager
def slowed(server: RunningServer, seconds: float = 0.02) -> Iterator[None]:
    """Make every decode step of a server take longer, so that a test can act while it runs."""
    task: Any = server.process.service.task
    runner = task.scheduler._runner
    decode = runner.decode

    def slow(*arguments: Any) -> Any:
        time.sleep(seconds)
        return decode(*arguments)

    runner.decode = slow
    try:
        yield
    finally:
        runner.decode = decode
