"""OpenAI's `/v1/responses`, mostly through the official client."""

import json
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from tests.runtime.support.server import RunningServer, running
from tests.runtime.support.tiny_models import make_decoder

pytestmark = pytest.mark.torch

QUESTION = "the quick brown fox"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Drink(BaseModel):
    """What an answer is parsed as."""

    kind: Literal["tea", "milk"]
    hot: bool


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(make_decoder(tmp_path_factory.mktemp("decoder"), context=2048)) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.http.base_url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_answer_is_that_of_chat_completions(server: RunningServer, client: openai.OpenAI) -> None:
    answer = client.responses.create(
        model="tiny", input=QUESTION, instructions="be brief", max_output_tokens=12, temperature=0
    )
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": QUESTION}]
    chat = server.post("/v1/chat/completions", messages=messages, max_tokens=12, temperature=0).json()
    assert answer.output_text == chat["choices"][0]["message"]["content"]
    assert answer.usage is not None
    assert answer.usage.input_tokens == chat["usage"]["prompt_tokens"]
    assert answer.usage.output_tokens == 12
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


def test_stream_opens_and_closes_what_it_sends_and_ends_with_the_whole_answer(client: openai.OpenAI) -> None:
    body: dict[str, Any] = {"model": "tiny", "input": QUESTION, "max_output_tokens": 12, "temperature": 0}
    events = list(client.responses.create(**body, stream=True))
    kinds = [event.type for event in events]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert set(kinds[4:-4]) == {"response.output_text.delta"}
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]
    whole = client.responses.create(**body).output_text
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == whole
    assert events[-1].response.output_text == whole
    assert events[-1].response.usage.output_tokens == 12


def test_events_are_named_and_no_marker_follows(server: RunningServer) -> None:
    body = {"model": "tiny", "input": "a", "max_output_tokens": 2, "stream": True}
    with server.http.stream("POST", "/v1/responses", json=body) as response:
        lines = [line for line in response.iter_lines() if line]
    named = [line.removeprefix("event: ") for line in lines[::2]]
    assert named == [json.loads(line.removeprefix("data: "))["type"] for line in lines[1::2]]


def test_answer_is_parsed_as_a_pydantic_model(client: openai.OpenAI) -> None:
    parsed = client.responses.parse(model="tiny", input=QUESTION, text_format=Drink, max_output_tokens=90)
    assert isinstance(parsed.output_parsed, Drink)
    assert parsed.status == "completed"


def test_function_is_called_and_its_result_is_taken(client: openai.OpenAI) -> None:
    conversation: list[Any] = [{"role": "user", "content": [{"type": "input_text", "text": "the weather"}]}]
    asked = client.responses.create(
        model="tiny", input=conversation, tools=[WEATHER], tool_choice="required", max_output_tokens=200
    )
    (call,) = asked.output
    assert call.type == "function_call"
    assert json.loads(call.arguments)["city"] in ("Paris", "Rome")
    conversation += asked.output
    conversation.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
    told = client.responses.create(model="tiny", input=conversation, tools=[WEATHER], max_output_tokens=2)
    assert told.usage is not None
    assert asked.usage is not None
    assert told.usage.input_tokens > asked.usage.input_tokens + 10


def test_earlier_answer_is_taken_back_as_it_came(client: openai.OpenAI) -> None:
    first = client.responses.create(model="tiny", input=QUESTION, max_output_tokens=4)
    conversation: list[Any] = [{"role": "user", "content": QUESTION}, *first.output, {"role": "user", "content": "on"}]
    assert client.responses.create(model="tiny", input=conversation, max_output_tokens=4).output_text


def test_streamed_call_is_put_together_by_the_client(client: openai.OpenAI) -> None:
    choice: Any = {"type": "function", "name": "get_weather"}
    with client.responses.stream(
        model="tiny", input="the weather", tools=[WEATHER], tool_choice=choice, max_output_tokens=200
    ) as stream:
        kinds = [event.type for event in stream]
        (call,) = stream.get_final_response().output
    assert call.type == "function_call"
    assert "response.function_call_arguments.delta" in kinds
    assert "response.output_text.delta" not in kinds


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"input": "a", "previous_response_id": "resp_1"}, "previous_response_id", "nothing is stored"),
        ({"input": "a", "store": True}, "store", "nothing is stored"),
        ({"input": "a", "reasoning": {"effort": "low"}}, "reasoning", "not supported"),
        ({"input": "a", "foo": 1}, "foo", "unknown field"),
        ({"input": "a", "max_output_tokens": 0}, "max_output_tokens", "greater than"),
        ({"input": "a", "max_output_tokens": 4000}, "max_output_tokens", "context"),
        ({"input": "the " * 4000}, "input", "context"),
        ({"input": []}, "input", "at least 1"),
        ({"input": [{"type": "reasoning", "summary": []}]}, "input.0", "function_call_output"),
        ({"input": [{"role": "user", "content": "a", "phase": "final_answer"}]}, "phase", "not supported"),
        ({"input": "a", "tools": [{"type": "web_search"}]}, "tools.0.type", "function"),
        ({"input": "a", "tool_choice": "required"}, None, "together with tools"),
        ({"input": "a", "text": {"format": {"type": "grammar"}}}, "text.format", "json_schema"),
        (
            {"input": "a", "text": {"format": {"type": "json_schema", "name": "x", "schema": {"not": {}}}}},
            "text.format.schema",
            "cannot be followed",
        ),
    ],
)
def test_request_is_refused_naming_the_field(
    server: RunningServer, body: dict[str, Any], param: str | None, words: str
) -> None:
    response = server.post("/v1/responses", **body)
    error = response.json()["error"]
    assert response.status_code == 400, response.text
    assert error["param"] == param
    assert words in error["message"]


def test_image_is_refused_by_the_name_of_the_input_when_the_model_reads_text(server: RunningServer) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    response = server.post("/v1/responses", input=[{"role": "user", "content": [image]}])
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "input"


def test_settings_of_the_request_are_told_back(client: openai.OpenAI) -> None:
    answer = client.responses.create(
        model="tiny",
        input="a",
        max_output_tokens=1,
        metadata={"ticket": "7"},
        tools=[WEATHER],
        tool_choice="none",
        parallel_tool_calls=False,
        store=False,
    )
    assert (answer.metadata, answer.tool_choice, answer.parallel_tool_calls) == ({"ticket": "7"}, "none", False)
    assert [tool.name for tool in answer.tools if tool.type == "function"] == ["get_weather"]
