"""`/infer`, `/generate` and `/generate_stream` of the open inference protocol."""

import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from modelservice_runtime.engine.scheduling import Piece
from modelservice_runtime.protocols.instances import READS, read_instances, write_results
from modelservice_runtime.protocols.v2.rest import (
    GenerateRequest,
    InferRequest,
    choose_binary,
    infer_schema,
    read_tensors,
    write_answer,
)
from modelservice_runtime.server.errors import ApiError, explain_invalid
from modelservice_runtime.server.service import Service, Submission, merge
from modelservice_runtime.server.streaming import EventStream
from modelservice_runtime.server.tensors import VERSION, check_model, infer_tensors

JSON_LENGTH = "inference-header-content-length"
INFER_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": infer_schema()}}}}


def v2_inference_routes(service: Service) -> APIRouter:
    """Return the endpoints."""
    router = APIRouter()

    @router.post("/models/{name:path}/infer", openapi_extra=INFER_BODY)
    async def infer(name: str, request: Request) -> Response:
        """Run the model on tensors, in JSON or with the extension for binary data."""
        name = check_model(service, request, name)
        body, binary = _split(await request.body(), request.headers.get(JSON_LENGTH))
        check_model(service, request, body.model_name or name)
        wanted = [output.name for output in body.outputs]
        tensors = await infer_tensors(service, request, name, read_tensors(body, binary), body.parameters, wanted)
        envelope = {"model_name": name, "model_version": VERSION} | ({"id": body.id} if body.id else {})
        answer, length = write_answer(envelope, tensors, choose_binary(body, tensors))
        if length is None:
            return Response(answer, media_type="application/json")
        return Response(answer, media_type="application/octet-stream", headers={JSON_LENGTH: str(length)})

    @router.post("/models/{name:path}/generate")
    async def generate(name: str, body: GenerateRequest, request: Request) -> Response:
        """Continue a text."""
        name = check_model(service, request, name)
        task, parsed, parameters, submission = await _submit(service, request, name, body)
        results = await service.attend(request, task, submission, service.results(submission))
        (answer,) = write_results("completion", task.finish(parsed, submission.items, results), parameters)
        return JSONResponse(_envelope(name, body, answer["text"], answer["finish_reason"]))

    @router.post("/models/{name:path}/generate_stream")
    async def generate_stream(name: str, body: GenerateRequest, request: Request) -> Response:
        """Continue a text, sending each piece as an event."""
        name = check_model(service, request, name)
        task, _, _, submission = await _submit(service, request, name, body)
        leave = partial(service.cancel, task, submission.tickets, "disconnect")
        return EventStream(_pieces(service, name, body, submission), leave, end=b"", path=request.url.path)

    return router


def _split(content: bytes, stated: str | None) -> tuple[InferRequest, bytes]:
    """Return the JSON of a body and the raw data behind it. Raises ApiError."""
    length = len(content) if stated is None else int(stated) if stated.isascii() and stated.isdigit() else -1
    if not 0 <= length <= len(content):
        raise ApiError(
            400, f"the header {JSON_LENGTH} must state the length of the JSON, at most that of the body",
            code="invalid_value", rejected="invalid",
        )  # fmt: skip
    try:
        return InferRequest.model_validate_json(content[:length]), content[length:]
    except ValidationError as error:
        param, message = explain_invalid([dict(problem) for problem in error.errors()])
        raise ApiError(400, message, code="invalid_value", param=param, rejected="invalid") from None


async def _submit(
    service: Service, request: Request, name: str, body: GenerateRequest
) -> tuple[Any, Any, Any, Submission]:
    """Queue the text of a request. Raises ApiError 400 when the model makes no text."""
    task, info = service.require(request, name)
    if info.gives != "completion":
        raise ApiError(
            400, f"{name!r} serves {info.name} and makes no text; use /v2/models/{name}/infer",
            code="wrong_task", rejected="invalid",
        )  # fmt: skip
    parameters = dict(body.parameters)
    if "max_tokens" in parameters:
        parameters["max_new_tokens"] = parameters.pop("max_tokens")
    instance = {READS[info.reads].bare: body.text_input}
    parsed, known = read_instances(info.reads, info.gives, [instance], parameters)
    return task, parsed, known, await service.submit(task, parsed)


async def _pieces(
    service: Service, name: str, body: GenerateRequest, submission: Submission
) -> AsyncIterator[dict[str, Any]]:
    deadline = time.monotonic() + service.settings.limits.request_seconds
    async for _, value in merge(submission.tickets, deadline):
        text, reason = (value.text, None) if isinstance(value, Piece) else ("", value.reason)
        yield _envelope(name, body, text, reason)


def _envelope(name: str, body: GenerateRequest, text: str, reason: str | None) -> dict[str, Any]:
    answer: dict[str, Any] = {"model_name": name, "model_version": VERSION, "text_output": text}
    if reason is not None:
        answer["details"] = {"finish_reason": reason}
    return answer | ({"id": body.id} if body.id else {})
