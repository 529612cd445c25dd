"""`/v1/completions` and `/v1/chat/completions`, unary and streaming."""

import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from modelservice_runtime.protocols.openai_generation import (
    ChatChoice,
    ChatMessage,
    ChatRequest,
    ChatResponse,
    CompletionChoice,
    CompletionRequest,
    CompletionResponse,
    GenerationBody,
    Usage,
)
from modelservice_runtime.protocols.openai_models import ErrorBody
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
        return await _answer(service, request, body, _CompletionWire(body.model), (*GENERATIVE, *REWRITING))

    @router.post("/v1/chat/completions", response_model=ChatResponse)
    async def create_chat_completion(body: ChatRequest, request: Request) -> Response:
        """Answer a conversation."""
        return await _answer(service, request, body, _ChatWire(body.model), (*GENERATIVE, *VISUAL))

    return router


async def _answer(
    service: Service,
    request: Request,
    body: CompletionRequest | ChatRequest,
    wire: "_Wire",
    tasks: tuple[str, ...],
) -> Response:
    task, _ = service.require(request, body.model, tasks)
    submission = await service.submit(task, body.to_task())
    if body.stream:
        leave = partial(service.cancel, task, submission.tickets, "disconnect")
        return EventStream(_stream(service, submission, body, wire), leave)
    results = await service.attend(request, task, submission, service.results(submission))
    choices = task.finish(body, submission.items, results)
    usage = _usage(submission, sum(choice.completion_tokens for choice in choices), body)
    return JSONResponse(wire.unary([(choice.text, choice.reason) for choice in choices], usage))


async def _stream(
    service: Service, submission: Submission, body: GenerationBody, wire: "_Wire"
) -> AsyncIterator[dict[str, Any]]:
    """Yield the chunks of an answer as they come; usage last when it was asked for."""
    made = 0
    deadline = time.monotonic() + service.settings.limits.request_seconds
    for index in range(len(submission.tickets)):
        if (opening := wire.opening(index)) is not None:
            yield opening
    async for index, value in merge(submission.tickets, deadline):
        if isinstance(value, str):
            yield wire.chunk(index, value, None)
        else:
            made += len(value.tokens)
            yield wire.chunk(index, "", value.reason)
    if body.include_usage:
        yield wire.envelope([], _usage(submission, made, body))


def _usage(submission: Submission, completion_tokens: int, body: GenerationBody) -> Usage:
    """Count the tokens of a request; a prompt counts once, however many answers it gets."""
    prompt = sum(item.value.prompt_tokens for item in submission.items) // (body.n or 1)
    return Usage(prompt_tokens=prompt, completion_tokens=completion_tokens, total_tokens=prompt + completion_tokens)


class _Wire(ABC):
    """How one endpoint writes its answers. Chunks are plain dicts: one is made for every token."""

    prefix = ""
    kind = ""

    def __init__(self, model: str) -> None:
        self.id = f"{self.prefix}-{uuid.uuid4().hex}"
        self.created = int(time.time())
        self.model = model

    def envelope(self, choices: list[dict[str, Any]], usage: Usage | None = None) -> dict[str, Any]:
        """Return a chunk."""
        chunk = {"id": self.id, "object": self.kind, "created": self.created, "model": self.model, "choices": choices}
        return chunk if usage is None else {**chunk, "usage": usage.model_dump()}

    def opening(self, index: int) -> dict[str, Any] | None:
        """Return the chunk that begins a choice, if the format has one."""
        return None

    @abstractmethod
    def chunk(self, index: int, text: str, reason: str | None) -> dict[str, Any]:
        """Return the chunk for a piece of text, or for the end of a choice."""

    @abstractmethod
    def unary(self, texts: list[tuple[str, Any]], usage: Usage) -> dict[str, Any]:
        """Return the whole answer for (text, finish reason) of each choice."""


class _CompletionWire(_Wire):
    prefix, kind = "cmpl", "text_completion"

    def chunk(self, index: int, text: str, reason: str | None) -> dict[str, Any]:
        return self.envelope([{"index": index, "text": text, "logprobs": None, "finish_reason": reason}])

    def unary(self, texts: list[tuple[str, Any]], usage: Usage) -> dict[str, Any]:
        choices = [CompletionChoice(index=i, text=text, finish_reason=reason) for i, (text, reason) in enumerate(texts)]
        return CompletionResponse(
            id=self.id, created=self.created, model=self.model, choices=choices, usage=usage
        ).model_dump()


class _ChatWire(_Wire):
    prefix, kind = "chatcmpl", "chat.completion.chunk"

    def opening(self, index: int) -> dict[str, Any] | None:
        return self._delta(index, {"role": "assistant", "content": ""}, None)

    def chunk(self, index: int, text: str, reason: str | None) -> dict[str, Any]:
        return self._delta(index, {"content": text} if reason is None else {}, reason)

    def _delta(self, index: int, delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
        return self.envelope([{"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}])

    def unary(self, texts: list[tuple[str, Any]], usage: Usage) -> dict[str, Any]:
        choices = [
            ChatChoice(index=i, message=ChatMessage(content=text), finish_reason=reason)
            for i, (text, reason) in enumerate(texts)
        ]
        return ChatResponse(
            id=self.id, created=self.created, model=self.model, choices=choices, usage=usage
        ).model_dump()
