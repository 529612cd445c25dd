"""`/v1/completions` and `/v1/chat/completions`, unary and streaming."""

import time
import uuid
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from modelservice_runtime.engine.scheduling import Piece
from modelservice_runtime.protocols.openai_generation import (
    ChatChoice,
    ChatMessage,
    ChatRequest,
    ChatResponse,
    CompletionChoice,
    CompletionRequest,
    CompletionResponse,
    GenerationBody,
    GenerationUsage,
    PromptDetails,
)
from modelservice_runtime.protocols.openai_logprobs import Spell, chat_logprobs, completion_logprobs
from modelservice_runtime.protocols.openai_models import ErrorBody
from modelservice_runtime.protocols.tool_calls import Call, ToolReader
from modelservice_runtime.server.service import Service, Submission, merge
from modelservice_runtime.server.streaming import EventStream

GENERATIVE = ("text-generation", "chat")
REWRITING = ("text2text-generation", "summarization", "translation")
VISUAL = ("image-text-to-text", "image-to-text")
ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": ErrorBody} for status in (400, 404, 413, 429, 503, 504)}


def generation_routes(service: Service) -> APIRouter:
    """Return the two endpoints."""
    router = APIRouter(tags=["generation"], responses=ERRORS)

    @router.post("/v1/completions", response_model=CompletionResponse)
    async def create_completion(body: CompletionRequest, request: Request) -> Response:
        """Continue one or several prompts."""
        return await _answer(service, request, body, _CompletionWire(body), (*GENERATIVE, *REWRITING))

    @router.post("/v1/chat/completions", response_model=ChatResponse)
    async def create_chat_completion(body: ChatRequest, request: Request) -> Response:
        """Answer a conversation."""
        return await _answer(service, request, body, _ChatWire(body), (*GENERATIVE, *VISUAL))

    return router


async def _answer(
    service: Service,
    request: Request,
    body: CompletionRequest | ChatRequest,
    wire: "_Wire",
    tasks: tuple[str, ...],
) -> Response:
    task, _ = service.require(request, body.model, tasks)
    wire.spell = getattr(task, "spell", wire.spell)
    submission = await service.submit(task, body.to_task())
    if body.stream:
        leave = partial(service.cancel, task, submission.tickets, "disconnect")
        return EventStream(_stream(service, submission, body, wire), leave)
    results = await service.attend(request, task, submission, service.results(submission))
    choices = task.finish(body, submission.items, results)
    made = sum(choice.completion_tokens for choice in choices)
    usage = _usage(submission, made, [choice.cached_tokens for choice in choices], body)
    return JSONResponse(wire.unary(choices, usage))


async def _stream(
    service: Service, submission: Submission, body: GenerationBody, wire: "_Wire"
) -> AsyncIterator[dict[str, Any]]:
    """Yield the chunks of an answer as they come; usage last when it was asked for."""
    made, cached = 0, [0] * len(submission.tickets)
    deadline = time.monotonic() + service.settings.limits.request_seconds
    for index in range(len(submission.tickets)):
        if (opening := wire.opening(index)) is not None:
            yield opening
    async for index, value in merge(submission.tickets, deadline):
        if isinstance(value, Piece):
            chunks = wire.pieces(index, value)
        else:
            made += len(value.tokens)
            cached[index] = value.cached_tokens
            chunks = wire.ending(index, value.reason)
        for chunk in chunks:
            yield chunk
    if body.include_usage:
        yield wire.envelope([], _usage(submission, made, cached, body))


def _usage(submission: Submission, made: int, cached: Sequence[int], body: GenerationBody) -> GenerationUsage:
    """Count the tokens of a request; a prompt counts once, however many answers it gets, and so does what was known."""
    n = body.n or 1
    prompt = sum(item.value.prompt_tokens for item in submission.items) // n
    known = sum(min(cached[first : first + n]) for first in range(0, len(cached), n))
    return GenerationUsage(
        prompt_tokens=prompt,
        completion_tokens=made,
        total_tokens=prompt + made,
        prompt_tokens_details=PromptDetails(cached_tokens=known),
    )


class _Wire(ABC):
    """How one endpoint writes its answers. Chunks are plain dicts: one is made for every token."""

    prefix = ""
    kind = ""

    def __init__(self, model: str) -> None:
        self.id = f"{self.prefix}-{uuid.uuid4().hex}"
        self.created = int(time.time())
        self.model = model
        self.spell: Spell = _spell_nothing

    def envelope(self, choices: list[dict[str, Any]], usage: GenerationUsage | None = None) -> dict[str, Any]:
        """Return a chunk."""
        chunk = {"id": self.id, "object": self.kind, "created": self.created, "model": self.model, "choices": choices}
        return chunk if usage is None else {**chunk, "usage": usage.model_dump()}

    def opening(self, index: int) -> dict[str, Any] | None:
        """Return the chunk that begins a choice, if the format has one."""
        return None

    @abstractmethod
    def pieces(self, index: int, piece: Piece) -> list[dict[str, Any]]:
        """Return the chunks for a piece of text."""

    @abstractmethod
    def ending(self, index: int, reason: str) -> list[dict[str, Any]]:
        """Return the chunks for the end of a choice."""

    @abstractmethod
    def unary(self, choices: Sequence[Any], usage: GenerationUsage) -> dict[str, Any]:
        """Return the whole answer for finished choices (`tasks.generation.Choice`)."""


def _spell_nothing(token: int) -> tuple[str, bytes]:
    """Stand in until the task's own function is known."""
    return str(token), b""


class _CompletionWire(_Wire):
    prefix, kind = "cmpl", "text_completion"

    def __init__(self, body: CompletionRequest) -> None:
        super().__init__(body.model)
        self._offsets: Counter[int] = Counter()

    def pieces(self, index: int, piece: Piece) -> list[dict[str, Any]]:
        logprobs = completion_logprobs(piece.logprobs, self.spell, self._offsets[index]) if piece.logprobs else None
        self._offsets[index] += len(piece.text)
        return [self._chunk(index, piece.text, logprobs, None)]

    def ending(self, index: int, reason: str) -> list[dict[str, Any]]:
        return [self._chunk(index, "", None, reason)]

    def _chunk(self, index: int, text: str, logprobs: Any, reason: str | None) -> dict[str, Any]:
        return self.envelope([{"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}])

    def unary(self, choices: Sequence[Any], usage: GenerationUsage) -> dict[str, Any]:
        written = [
            CompletionChoice(
                index=index,
                text=choice.text,
                finish_reason=choice.reason,
                logprobs=completion_logprobs(choice.logprobs, self.spell, 0) if choice.logprobs else None,
            )
            for index, choice in enumerate(choices)
        ]
        return CompletionResponse(
            id=self.id, created=self.created, model=self.model, choices=written, usage=usage
        ).model_dump()


class _ChatWire(_Wire):
    prefix, kind = "chatcmpl", "chat.completion.chunk"

    def __init__(self, body: ChatRequest) -> None:
        super().__init__(body.model)
        self._tools = body.tool_names
        self._parallel = body.parallel_tool_calls is not False
        self._readers: dict[int, ToolReader] = {}

    def opening(self, index: int) -> dict[str, Any] | None:
        return self._delta(index, {"role": "assistant", "content": ""}, None)

    def pieces(self, index: int, piece: Piece) -> list[dict[str, Any]]:
        text = self._reader(index).push(piece.text) if self._tools else piece.text
        logprobs = chat_logprobs(piece.logprobs, self.spell) if piece.logprobs else None
        return [self._delta(index, {"content": text}, None, logprobs)] if text or logprobs else []

    def ending(self, index: int, reason: str) -> list[dict[str, Any]]:
        text, calls = self._reader(index).finish() if self._tools else ("", [])
        chunks = [self._delta(index, {"content": text}, None)] if text else []
        for place, call in enumerate(calls):
            chunks.append(self._delta(index, {"tool_calls": [{"index": place, **call.to_message()}]}, None))
        return [*chunks, self._delta(index, {}, "tool_calls" if calls and reason == "stop" else reason)]

    def _reader(self, index: int) -> ToolReader:
        return self._readers.setdefault(index, ToolReader(self._tools, parallel=self._parallel))

    def _delta(self, index: int, delta: dict[str, Any], reason: str | None, logprobs: Any = None) -> dict[str, Any]:
        return self.envelope([{"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}])

    def unary(self, choices: Sequence[Any], usage: GenerationUsage) -> dict[str, Any]:
        written = [self._choice(index, choice) for index, choice in enumerate(choices)]
        return ChatResponse(
            id=self.id, created=self.created, model=self.model, choices=written, usage=usage
        ).model_dump(exclude={"choices": {"__all__": {"message": {"tool_calls"}}}} if not self._tools else None)

    def _choice(self, index: int, choice: Any) -> ChatChoice:
        content: str = choice.text
        calls: list[Call] = []
        if self._tools:
            reader = self._reader(index)
            begun = reader.push(choice.text)
            rest, calls = reader.finish()
            content = begun + rest
        return ChatChoice(
            index=index,
            message=ChatMessage(
                content=content or (None if calls else ""),
                tool_calls=[call.to_message() for call in calls] or None,
            ),
            finish_reason="tool_calls" if calls and choice.reason == "stop" else choice.reason,
            logprobs=chat_logprobs(choice.logprobs, self.spell) if choice.logprobs else None,
        )
