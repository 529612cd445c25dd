"""`/v1/audio/transcriptions` and `/v1/audio/translations`: a recording in a multipart form, and what was said in it."""

import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import ValidationError
from python_multipart.exceptions import FormParserError as MultipartParseError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from modelservice_runtime.engine.scheduling import Piece
from modelservice_runtime.protocols.openai_audio import (
    Transcription,
    TranscriptionForm,
    TranslationForm,
    usage_of,
    write_srt,
    write_verbose,
    write_vtt,
)
from modelservice_runtime.server.errors import ApiError
from modelservice_runtime.server.routes.generation import ERRORS
from modelservice_runtime.server.service import Service, Submission, merge
from modelservice_runtime.server.streaming import EventStream
from modelservice_runtime.tasks.base import LoadedTask
from modelservice_runtime.tasks.inputs import Audios, InvalidInput, Transcript

SPEECH = ("automatic-speech-recognition",)
MAX_FIELDS = 64
LISTS = ("timestamp_granularities", "include", "known_speaker_names", "known_speaker_references")
F = TypeVar("F", bound=TranslationForm)


def audio_routes(service: Service) -> APIRouter:
    """Return the two endpoints."""
    router = APIRouter(tags=["audio"], responses=ERRORS)

    @router.post("/v1/audio/transcriptions", response_model=Transcription, openapi_extra=_describe(TranscriptionForm))
    async def create_transcription(request: Request) -> Response:
        """Write down what is said in a recording."""
        return await _answer(service, request, TranscriptionForm)

    @router.post("/v1/audio/translations", response_model=Transcription, openapi_extra=_describe(TranslationForm))
    async def create_translation(request: Request) -> Response:
        """Write down in English what is said in a recording."""
        return await _answer(service, request, TranslationForm)

    return router


async def _answer(service: Service, request: Request, kind: type[TranslationForm]) -> Response:
    form, audio = await _read_form(request, kind)
    task, _ = service.require(request, form.model, SPEECH)
    parsed = form.to_task(audio)
    submission = await service.submit(task, parsed)
    if isinstance(form, TranscriptionForm) and form.stream:
        leave = partial(service.cancel, task, submission.tickets, "disconnect")
        return EventStream(_stream(service, task, parsed, submission), leave)
    results = await service.attend(request, task, submission, service.results(submission))
    return _write(task.finish(parsed, submission.items, results)[0], form)


def _write(transcript: Transcript, form: TranslationForm) -> Response:
    match form.response_format:
        case "json":
            return JSONResponse(Transcription(text=transcript.text, usage=usage_of(transcript)).model_dump())
        case "text":
            return PlainTextResponse(transcript.text + "\n")
        case "srt":
            return PlainTextResponse(write_srt(transcript.segments), media_type="application/x-subrip")
        case "vtt":
            return PlainTextResponse(write_vtt(transcript.segments), media_type="text/vtt")
        case "verbose_json":
            return JSONResponse(write_verbose(transcript, form))


async def _stream(
    service: Service, task: LoadedTask, parsed: Audios, submission: Submission
) -> AsyncIterator[dict[str, Any]]:
    """Yield the text window by window as it becomes certain, then all of it."""
    results: list[Any] = [None] * len(submission.tickets)
    told = False
    deadline = time.monotonic() + service.settings.limits.request_seconds
    async for index, value in merge(submission.tickets, deadline):
        if isinstance(value, Piece):
            told = True
            yield {"type": "transcript.text.delta", "delta": value.text}
        else:
            results[index] = value
    transcript: Transcript = task.finish(parsed, submission.items, results)[0]
    if not told and transcript.text:
        yield {"type": "transcript.text.delta", "delta": transcript.text}
    yield {"type": "transcript.text.done", "text": transcript.text, "usage": usage_of(transcript).model_dump()}


async def _read_form(request: Request, kind: type[F]) -> tuple[F, bytes]:
    """Return the fields and the file of a form. Raises ApiError, InvalidInput or RequestValidationError."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise ApiError(400, "send the recording as multipart/form-data with a field file", code="invalid_value")
    parser = MultiPartParser(request.headers, request.stream(), max_files=1, max_fields=MAX_FIELDS)
    try:
        data = await parser.parse()
    except (MultiPartException, MultipartParseError, KeyError, ValueError) as error:
        raise ApiError(400, "the form cannot be read as multipart/form-data", code="invalid_value") from error
    try:
        upload = data.get("file")
        if not isinstance(upload, UploadFile):
            raise InvalidInput("file", "file: missing; send the recording as a file of the form")
        audio = await upload.read()
        return kind.model_validate(_fields(data.multi_items())), audio
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None
    finally:
        await data.close()


def _fields(items: list[tuple[str, UploadFile | str]]) -> dict[str, Any]:
    """Return the fields as a JSON body would hold them: `name[]`, or a list's name, gathers; others may come once."""
    fields: dict[str, Any] = {}
    for key, value in items:
        name = key.removesuffix("[]")
        if name == "file":
            continue
        if name in LISTS:
            fields.setdefault(name, []).append(value)
        elif name in fields:
            raise InvalidInput(name[:64], f"{name[:64]}: sent more than once")
        else:
            fields[name] = value
    return fields


def _describe(kind: type[TranslationForm]) -> dict[str, Any]:
    """Return the description of a form for the OpenAPI document."""
    schema = kind.model_json_schema()
    schema["properties"] = {"file": {"type": "string", "format": "binary"}, **schema["properties"]}
    schema["required"] = ["file", *schema["required"]]
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
