"""The official `openai` client, as it is, against text models; images and sound are beside their own routes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel, ConfigDict

from tests.runtime.support.server import RunningServer, running
from tests.runtime.support.tiny_models import make_decoder, make_encoder

pytestmark = pytest.mark.torch

KEY = "alice-key-0123456789"
QUESTION: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "the quick brown fox"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Paris", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


class Drink(BaseModel):
    """What an answer is parsed as; closed, so that even a model that knows nothing comes to an end."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["tea", "milk"]
    hot: bool


def client_of(server: RunningServer, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key=key, max_retries=0)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder whose context holds the description of tools in its tokenizer's many tokens."""
    return make_decoder(tmp_path_factory.mktemp("decoder"), context=2048)


@pytest.fixture(scope="module")
def client(decoder: Path) -> Iterator[openai.OpenAI]:
    with running(decoder) as server:
        yield client_of(server)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    with running(make_encoder(tmp_path_factory.mktemp("encoder"))) as server:
        yield client_of(server)


def test_models_are_listed_and_retrieved(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").object == "model"


def test_conversation_is_answered_whole_and_in_pieces(client: openai.OpenAI) -> None:
    asked: Any = {"model": "tiny", "messages": QUESTION, "max_completion_tokens": 12, "temperature": 0}
    whole = client.chat.completions.create(**asked)
    assert whole.usage is not None
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content != ""
    assert chunks[-1].usage == whole.usage
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason


def test_stream_helper_of_the_client_puts_the_answer_together(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="tiny", messages=QUESTION, max_tokens=12, temperature=0) as stream:
        events = list(stream)
    assert "".join(event.delta for event in events if event.type == "content.delta") == _content(stream)


def _content(stream: Any) -> str:
    text: str = stream.current_completion_snapshot.choices[0].message.content
    return text


def test_several_answers_differ_and_the_same_seed_repeats_them(client: openai.OpenAI) -> None:
    asked: Any = {"model": "tiny", "messages": QUESTION, "max_tokens": 12, "n": 3, "seed": 11, "temperature": 1.0}
    first, again = (client.chat.completions.create(**asked) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert len(set(texts)) == 3
    assert texts == [choice.message.content for choice in again.choices]
    assert [choice.index for choice in first.choices] == [0, 1, 2]


def test_answer_ends_before_a_stop_word(client: openai.OpenAI) -> None:
    asked: Any = {"model": "tiny", "messages": QUESTION, "max_tokens": 12, "temperature": 0}
    text = client.chat.completions.create(**asked).choices[0].message.content or ""
    stop = text[3:6]
    stopped = client.chat.completions.create(**asked, stop=[stop]).choices[0]
    assert stopped.message.content == text[: text.index(stop)]
    assert stopped.finish_reason == "stop"


def test_log_probabilities_are_told(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="tiny", messages=QUESTION, max_tokens=4, temperature=0, logprobs=True, top_logprobs=2
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content
    assert all(entry.logprob <= 0 and len(entry.top_logprobs) == 2 for entry in logprobs.content)
    assert logprobs.content[0].token == logprobs.content[0].top_logprobs[0].token


def test_answer_is_parsed_as_a_pydantic_model(client: openai.OpenAI) -> None:
    parsed = client.chat.completions.parse(model="tiny", messages=QUESTION, max_tokens=90, response_format=Drink)
    assert isinstance(parsed.choices[0].message.parsed, Drink)


def test_answer_follows_a_schema_and_is_an_object(client: openai.OpenAI) -> None:
    schema: Any = {"name": "drink", "schema": Drink.model_json_schema()}
    answer = client.chat.completions.create(
        model="tiny",
        messages=QUESTION,
        max_tokens=90,
        response_format={"type": "json_schema", "json_schema": schema},
    )
    assert Drink.model_validate_json(answer.choices[0].message.content or "").kind in ("tea", "milk")


def test_tool_is_called_and_its_result_is_taken(client: openai.OpenAI) -> None:
    asked: Any = {"model": "tiny", "max_tokens": 90, "tools": [WEATHER]}
    message = client.chat.completions.create(messages=QUESTION, tool_choice="required", **asked).choices[0].message
    assert message.tool_calls is not None
    (call,) = message.tool_calls
    assert call.type == "function"
    assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome")
    told: Any = [*QUESTION, message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    assert client.chat.completions.create(messages=told, **asked).choices[0].finish_reason in ("stop", "length")


def test_streamed_call_is_put_together_by_the_client(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="tiny", messages=QUESTION, max_tokens=90, tools=[WEATHER], tool_choice="required"
    ) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        choice = stream.get_final_completion().choices[0]
    assert [event.name for event in done] == ["get_weather"]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    assert choice.message.tool_calls[0].function.arguments == done[0].arguments


def test_prompts_are_continued(client: openai.OpenAI) -> None:
    asked: Any = {"model": "tiny", "max_tokens": 8, "temperature": 0}
    both = client.completions.create(prompt=["the quick", "a server"], logprobs=1, **asked)
    chunks = list(client.completions.create(prompt="the quick", stream=True, **asked))
    assert "".join(chunk.choices[0].text for chunk in chunks) == both.choices[0].text
    assert [choice.index for choice in both.choices] == [0, 1]
    assert both.choices[0].logprobs is not None
    assert both.choices[0].logprobs.token_logprobs


def test_texts_are_embedded_alike_as_numbers_and_as_base64(embedder: openai.OpenAI) -> None:
    texts = ["the lazy dog", "an angry bear"]
    packed = embedder.embeddings.create(model="tiny", input=texts)  # the client asks for base64 unasked
    plain = embedder.embeddings.create(model="tiny", input=texts, encoding_format="float")
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert plain.usage.prompt_tokens == plain.usage.total_tokens > 0


def test_refusals_are_the_errors_of_the_client(client: openai.OpenAI, embedder: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as unsupported:
        client.chat.completions.create(model="tiny", messages=QUESTION, reasoning_effort="high")
    assert (unsupported.value.param, unsupported.value.code) == ("reasoning_effort", "invalid_value")
    with pytest.raises(openai.BadRequestError) as too_long:
        client.completions.create(model="tiny", prompt="the", max_tokens=5000)
    assert too_long.value.param == "max_tokens"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="other", messages=QUESTION)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")
    with pytest.raises(openai.BadRequestError, match="/v1/embeddings"):
        embedder.chat.completions.create(model="tiny", messages=QUESTION)


def test_key_is_needed_and_its_rate_is_limited_when_the_server_has_keys(decoder: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"alice:{KEY}:1\n")
    with running(decoder, security={"api_key_file": str(keys)}) as server:
        with pytest.raises(openai.AuthenticationError):
            client_of(server).models.list()
        alice = client_of(server, KEY)
        assert alice.models.retrieve("tiny").id == "tiny"
        with pytest.raises(openai.RateLimitError) as limited:
            alice.models.retrieve("tiny")
        assert int(limited.value.response.headers["retry-after"]) >= 1
