"""What a request may ask of its answer: favoured tokens, penalties, log-probabilities, grammars, tools."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.runtime.support.server import RunningServer, running
from tests.runtime.support.tiny_models import make_decoder

pytestmark = pytest.mark.torch

PROMPT = "the quick brown"
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "likes": {"type": "array", "items": {"enum": ["tea", "milk"]}, "maxItems": 2},
    },
    "required": ["name", "age", "likes"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Paris", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
QUESTION = [{"role": "user", "content": "the weather"}]


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder whose context holds the description of tools in its tokenizer's many tokens."""
    return make_decoder(tmp_path_factory.mktemp("decoder"), context=2048)


@pytest.fixture(scope="module")
def server(decoder: Path) -> Iterator[RunningServer]:
    with running(decoder) as server:
        yield server


def complete(server: RunningServer, **body: Any) -> dict[str, Any]:
    response = server.post("/v1/completions", **{"prompt": PROMPT, "max_tokens": 12, "temperature": 0, **body})
    assert response.status_code == 200, response.text
    choice: dict[str, Any] = response.json()["choices"][0]
    return choice


def chat(server: RunningServer, **body: Any) -> dict[str, Any]:
    response = server.post("/v1/chat/completions", **{"messages": QUESTION, "max_tokens": 90, **body})
    assert response.status_code == 200, response.text
    choice: dict[str, Any] = response.json()["choices"][0]
    return choice


def events(server: RunningServer, path: str, **body: Any) -> list[dict[str, Any]]:
    with server.http.stream("POST", path, json={"model": "tiny", "stream": True, **body}) as response:
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def test_logprobs_are_those_of_the_plain_model(server: RunningServer, decoder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(decoder)
    model = AutoModelForCausalLM.from_pretrained(decoder)
    choice = complete(server, logprobs=3)
    prompt = tokenizer(PROMPT, return_tensors="pt")
    start = prompt["input_ids"].shape[1]
    with torch.inference_mode():
        ids = model.generate(**prompt, max_new_tokens=12, do_sample=False)
        expected = torch.log_softmax(model(ids).logits[0].float(), dim=-1)
    found = choice["logprobs"]
    values = [float(expected[at - 1, ids[0, at]]) for at in range(start, ids.shape[1])]
    assert found["token_logprobs"] == pytest.approx(values[: len(found["tokens"])], abs=1e-3)
    assert found["tokens"] == [tokenizer.decode([token]) for token in ids[0, start:]][: len(found["tokens"])]
    assert all(1 <= len(top) <= 3 for top in found["top_logprobs"])
    assert found["text_offset"][0] == 0


def test_logprobs_of_a_stream_are_those_of_the_whole_answer(server: RunningServer) -> None:
    asked = {"messages": QUESTION, "max_tokens": 10, "temperature": 0, "logprobs": True, "top_logprobs": 2}
    whole = chat(server, **asked)["logprobs"]["content"]
    streamed = [
        entry
        for event in events(server, "/v1/chat/completions", **asked)
        for choice in event["choices"]
        if choice["logprobs"]
        for entry in choice["logprobs"]["content"]
    ]
    assert [entry["token"] for entry in streamed] == [entry["token"] for entry in whole]
    assert all(bytes(entry["bytes"]) for entry in whole)
    assert [entry["logprob"] for entry in streamed] == pytest.approx([entry["logprob"] for entry in whole], abs=1e-4)


def test_token_is_always_chosen_when_its_bias_is_greatest_and_never_when_least(
    server: RunningServer, decoder: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(decoder)
    (wanted,) = tokenizer("x")["input_ids"]
    assert set(complete(server, logit_bias={str(wanted): 100})["text"]) == {"x"}
    first = complete(server, logprobs=0, max_tokens=1)["logprobs"]["tokens"][0]
    banned = tokenizer(first)["input_ids"][0]
    assert complete(server, logprobs=0, max_tokens=1, logit_bias={str(banned): -100})["text"] != first


def test_penalties_are_those_of_the_reference(server: RunningServer, decoder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(decoder)
    model = AutoModelForCausalLM.from_pretrained(decoder)
    prompt = tokenizer(PROMPT, return_tensors="pt")
    with torch.inference_mode():
        expected = model.generate(**prompt, max_new_tokens=12, do_sample=False, repetition_penalty=1.7)
    answer = tokenizer.decode(expected[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
    assert complete(server, repetition_penalty=1.7)["text"] == answer


def test_said_tokens_are_lowered_once_and_for_each_time(server: RunningServer, decoder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(decoder)
    model = AutoModelForCausalLM.from_pretrained(decoder)
    ids = tokenizer(PROMPT)["input_ids"]
    said: list[int] = []
    for _ in range(12):
        with torch.no_grad():
            logits = model(torch.tensor([ids + said])).logits[0, -1].clone()
        for token in set(said):
            logits[token] -= 1.5 + 0.75 * said.count(token)
        said.append(int(logits.argmax()))
    found = complete(server, presence_penalty=1.5, frequency_penalty=0.75, logprobs=0)["logprobs"]["tokens"]
    assert found == [tokenizer.decode([token]) for token in said][: len(found)]
    assert found


@pytest.mark.parametrize("seed", range(4))
def test_answer_follows_the_schema_whatever_the_model_would_say(server: RunningServer, seed: int) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    choice = chat(server, response_format=form, temperature=1.0, seed=seed)
    assert choice["finish_reason"] == "stop"
    person = json.loads(choice["message"]["content"])
    assert set(person) == {"name", "age", "likes"}
    assert len(person["name"]) <= 6
    assert 0 <= person["age"] <= 120
    assert set(person["likes"]) <= {"tea", "milk"}


def test_many_grammars_and_none_share_a_batch_without_disturbing_each_other(server: RunningServer) -> None:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    plain = complete(server)["text"]
    bodies: list[dict[str, Any]] = [{}, {"structured_outputs": {"regex": "[ab]{5}"}}, {"logprobs": 2}] * 4
    with ThreadPoolExecutor(len(bodies)) as pool:
        choices = list(pool.map(lambda body: complete(server, **body), bodies))
    assert {choice["text"] for choice in choices[0::3]} == {plain}
    assert {choice["text"] for choice in choices[2::3]} == {plain}
    assert all(re.fullmatch("[ab]{5}", choice["text"]) for choice in choices[1::3])


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ({"choice": ["yes", "no (really)"]}, r"yes|no \(really\)"),
        ({"grammar": 'start: "a" "b"~2..3'}, "abb|abbb"),
        ({"json": {"enum": ["red", 7]}}, '"red"|7'),
    ],
)
def test_answer_follows_every_kind_of_structure(server: RunningServer, form: dict[str, Any], pattern: str) -> None:
    assert re.fullmatch(pattern, complete(server, structured_outputs=form)["text"])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "foo"}}}},
            "response_format.json_schema.schema",
        ),
        ({"structured_outputs": {"regex": "(?=a)b"}}, "structured_outputs.regex"),
        ({"structured_outputs": {"grammar": "start: nothing"}}, "structured_outputs.grammar"),
        ({"structured_outputs": {}}, "structured_outputs"),
        ({"top_logprobs": 3}, None),
        ({"tool_choice": "required"}, None),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "other"}}}, None),
    ],
)
def test_request_is_refused_naming_the_field_when_it_cannot_be_followed(
    server: RunningServer, body: dict[str, Any], param: str | None
) -> None:
    response = server.post("/v1/chat/completions", messages=QUESTION, **body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param), response.text


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_answer_is_a_call_when_one_is_required(server: RunningServer, choice: Any) -> None:
    answer = chat(server, tools=[WEATHER], tool_choice=choice)
    assert answer["finish_reason"] == "tool_calls"
    (call,) = answer["message"]["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"])["city"] in ("Paris", "Rome")
    assert answer["message"]["content"] is None


def test_call_is_streamed_and_nothing_of_it_is_content(server: RunningServer) -> None:
    found = events(server, "/v1/chat/completions", messages=QUESTION, tools=[WEATHER], tool_choice="required")
    deltas = [choice["delta"] for event in found for choice in event["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == ""
    (call,) = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert (call["index"], call["function"]["name"]) == (0, "get_weather")
    assert found[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_earlier_calls_and_results_are_told_to_the_model(server: RunningServer) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
    messages = [
        *QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    without = server.post("/v1/chat/completions", messages=QUESTION, tools=[WEATHER], max_tokens=1).json()
    told = server.post("/v1/chat/completions", messages=messages, tools=[WEATHER], max_tokens=1).json()
    assert told["usage"]["prompt_tokens"] > without["usage"]["prompt_tokens"] + 10
