"""OpenAI's `/v1/responses`: the answer, as the events of a stream.

The whole answer is what the last event carries, so a stream and a unary call cannot differ. A message is opened by the
first text that is certainly no call of a function; an answer that only calls functions has no message.
"""

import time
import uuid
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel

from modelservice_runtime.protocols.openai_responses import ResponsesRequest
from modelservice_runtime.protocols.tool_calls import Call, ToolReader

Event = dict[str, Any]


class ResponseAnswer(BaseModel):
    """Answer of `/v1/responses`."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: Literal["in_progress", "completed", "incomplete"]
    incomplete_details: dict[str, str] | None = None
    error: None = None
    model: str
    output: list[dict[str, Any]]
    instructions: str | None = None
    max_output_tokens: int | None = None
    temperature: float
    top_p: float
    text: dict[str, Any]
    tools: list[dict[str, Any]]
    tool_choice: str | dict[str, Any]
    parallel_tool_calls: bool
    metadata: dict[str, str]
    truncation: Literal["disabled"] = "disabled"
    previous_response_id: None = None
    store: Literal[False] = False
    user: str | None = None
    usage: dict[str, Any] | None = None


class ResponseWriter:
    """Writes one answer from pieces of text."""

    def __init__(self, body: ResponsesRequest) -> None:
        self._answer = _empty_answer(body)
        self._reader = ToolReader(body.tool_names, parallel=body.parallel_tool_calls is not False)
        self._number = -1
        self._message = _identify("msg")
        self._text: list[str] = []
        self._output: list[dict[str, Any]] = []

    def begin(self) -> Iterator[Event]:
        """Yield the events before the first text."""
        yield self._event("response.created", response=self._snapshot("in_progress"))
        yield self._event("response.in_progress", response=self._snapshot("in_progress"))

    def push(self, piece: str) -> Iterator[Event]:
        """Yield the events for a piece of text."""
        yield from self._say(self._reader.push(piece))

    def finish(self, reason: str, usage: dict[str, Any]) -> Iterator[Event]:
        """Yield the events that end an answer; the last one carries all of it."""
        status = "incomplete" if reason == "length" else "completed"
        rest, calls = self._reader.finish()
        yield from self._say(rest)
        if self._text or not calls:
            yield from self._close_message(status)
        for call in calls:
            yield from self._call(call)
        self._answer.usage = usage
        yield self._event(f"response.{status}", response=self._snapshot(status))

    def _say(self, text: str) -> Iterator[Event]:
        if not text:
            return
        if not self._text:
            yield from self._open_message()
        self._text.append(text)
        yield self._event("response.output_text.delta", **self._place(), delta=text, logprobs=[])

    def _open_message(self) -> Iterator[Event]:
        item = {"id": self._message, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        yield self._event("response.output_item.added", output_index=0, item=item)
        yield self._event("response.content_part.added", **self._place(), part=_part(""))

    def _close_message(self, status: str) -> Iterator[Event]:
        if not self._text:
            yield from self._open_message()
        text = "".join(self._text)
        yield self._event("response.output_text.done", **self._place(), text=text, logprobs=[])
        yield self._event("response.content_part.done", **self._place(), part=_part(text))
        item = {
            "id": self._message,
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": [_part(text)],
        }
        yield from self._close_item(item)

    def _call(self, call: Call) -> Iterator[Event]:
        item = {
            "id": _identify("fc"),
            "type": "function_call",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
            "status": "completed",
        }
        place = {"item_id": item["id"], "output_index": len(self._output)}
        begun = {**item, "arguments": "", "status": "in_progress"}
        yield self._event("response.output_item.added", output_index=place["output_index"], item=begun)
        yield self._event("response.function_call_arguments.delta", **place, delta=call.arguments)
        yield self._event("response.function_call_arguments.done", **place, name=call.name, arguments=call.arguments)
        yield from self._close_item(item)

    def _close_item(self, item: dict[str, Any]) -> Iterator[Event]:
        self._output.append(item)
        yield self._event("response.output_item.done", output_index=len(self._output) - 1, item=item)

    def _place(self) -> dict[str, Any]:
        return {"item_id": self._message, "output_index": 0, "content_index": 0}

    def _event(self, kind: str, **content: Any) -> Event:
        self._number += 1
        return {"type": kind, "sequence_number": self._number, **content}

    def _snapshot(self, status: str) -> dict[str, Any]:
        details = {"reason": "max_output_tokens"} if status == "incomplete" else None
        changes = {"status": status, "incomplete_details": details, "output": list(self._output)}
        return self._answer.model_copy(update=changes).model_dump()


def write_whole(body: ResponsesRequest, text: str, reason: str, usage: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a call that does not stream."""
    writer = ResponseWriter(body)
    *_, last = [*writer.push(text), *writer.finish(reason, usage)]
    answer: dict[str, Any] = last["response"]
    return answer


def _empty_answer(body: ResponsesRequest) -> ResponseAnswer:
    dumped = body.model_dump(mode="json", by_alias=True, exclude_none=True, include={"text", "tools", "tool_choice"})
    return ResponseAnswer(
        id=_identify("resp"),
        created_at=int(time.time()),
        status="in_progress",
        model=body.model,
        output=[],
        instructions=body.instructions,
        max_output_tokens=body.max_output_tokens,
        temperature=1.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        text={"format": {"type": "text"}, **dumped.get("text", {})},
        tools=dumped.get("tools", []),
        tool_choice=dumped.get("tool_choice", "auto"),
        parallel_tool_calls=body.parallel_tool_calls is not False,
        metadata=body.metadata or {},
        user=body.user,
    )


def write_usage(prompt_tokens: int, completion_tokens: int, cached_tokens: int) -> dict[str, Any]:
    """Return the tokens that an answer cost, `cached_tokens` those of the prompt that were known already."""
    return {
        "input_tokens": prompt_tokens,
        "input_tokens_details": {"cached_tokens": cached_tokens, "cache_write_tokens": 0},
        "output_tokens": completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt_tokens + completion_tokens,
    }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _identify(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex}"
