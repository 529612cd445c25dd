"""`/v1/responses`, unary and streaming."""

import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from modelservice_runtime.engine.scheduling import Piece
from modelservice_runtime.protocols.openai_response_events import (
    ResponseAnswer,
    ResponseWriter,
    write_usage,
    write_whole,
)
from modelservice_runtime.protocols.openai_responses import ResponsesRequest
from modelservice_runtime.server.routes.generation import ERRORS, GENERATIVE, VISUAL
from modelservice_runtime.server.service import Service, Submission, merge
from modelservice_runtime.server.streaming import EventStream
from modelservice_runtime.tasks.base import LoadedTask
from modelservice_runtime.tasks.inputs import InvalidInput


def response_routes(service: Service) -> APIRouter:
    """Return the endpoint."""
    router = APIRouter(tags=["generation"], responses=ERRORS)

    @router.post("/v1/responses", response_model=ResponseAnswer)
    async def create_response(body: ResponsesRequest, request: Request) -> Response:
        """Answer a conversation, in items. Nothing is stored."""
        task, _ = service.require(request, body.model, (*GENERATIVE, *VISUAL))
        submission = await _submit(service, task, body)
        if body.stream:
            leave = partial(service.cancel, task, submission.tickets, "disconnect")
            return EventStream(_stream(service, submission, body), leave, end=b"", named=True)
        results = await service.attend(request, task, submission, service.results(submission))
        (choice,) = task.finish(body, submission.items, results)
        usage = write_usage(_prompt_tokens(submission), choice.completion_tokens, choice.cached_tokens)
        whole = write_whole(body, choice.text, choice.reason, usage)
        return JSONResponse(whole)

    return router


async def _submit(service: Service, task: LoadedTask, body: ResponsesRequest) -> Submission:
    """Submit the conversation; what the task says of its messages is said of `input`, which the client sent."""
    try:
        return await service.submit(task, body.to_task())
    except InvalidInput as error:
        if not error.field.startswith("messages"):
            raise
        raise InvalidInput("input", str(error), reason=error.reason) from error


async def _stream(service: Service, submission: Submission, body: ResponsesRequest) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of an answer as they come."""
    writer = ResponseWriter(body)
    deadline = time.monotonic() + service.settings.limits.request_seconds
    for event in writer.begin():
        yield event
    async for _, value in merge(submission.tickets, deadline):
        if isinstance(value, Piece):
            events = writer.push(value.text)
        else:
            usage = write_usage(_prompt_tokens(submission), len(value.tokens), value.cached_tokens)
            events = writer.finish(value.reason, usage)
        for event in events:
            yield event


def _prompt_tokens(submission: Submission) -> int:
    return sum(item.value.prompt_tokens for item in submission.items)
