"""`/v1/images/generations`, unary and with progress."""

import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from modelservice_runtime.engine.step_scheduler import StepsDone
from modelservice_runtime.protocols.openai_images import (
    ImageData,
    ImageRequest,
    ImagesResponse,
    ImageUsage,
    count_usage,
    encode_png,
)
from modelservice_runtime.server.routes.generation import ERRORS
from modelservice_runtime.server.service import Service, Submission, merge
from modelservice_runtime.server.streaming import EventStream
from modelservice_runtime.tasks.base import LoadedTask
from modelservice_runtime.tasks.inputs import Picture, PicturePrompts


def image_routes(service: Service) -> APIRouter:
    """Return the endpoint."""
    router = APIRouter(tags=["images"], responses=ERRORS)

    @router.post("/v1/images/generations", response_model=ImagesResponse)
    async def create_image(body: ImageRequest, request: Request) -> Response:
        """Draw pictures of a prompt."""
        task, _ = service.require(request, body.model, ("text-to-image",))
        prompts = body.to_task()
        submission = await service.submit(task, prompts)
        if body.stream:
            leave = partial(service.cancel, task, submission.tickets, "disconnect")
            return EventStream(_stream(service, task, submission, prompts), leave)
        results = await service.attend(request, task, submission, service.results(submission))
        pictures: list[Picture] = task.finish(prompts, submission.items, results)
        answer = ImagesResponse(
            created=int(time.time()),
            data=[ImageData(b64_json=encode_png(picture), seed=picture.seed) for picture in pictures],
            size=_size(pictures[0]),
            usage=_usage(submission),
        )
        return JSONResponse(answer.model_dump())

    return router


async def _stream(
    service: Service, task: LoadedTask, submission: Submission, prompts: PicturePrompts
) -> AsyncIterator[dict[str, Any]]:
    """Yield an event for each step of each picture, and each picture when it is done; `index` tells which one."""
    deadline = time.monotonic() + service.settings.limits.request_seconds
    usage = _usage(submission)
    async for index, value in merge(submission.tickets, deadline):
        common = {"index": index, "created_at": int(time.time())}
        if isinstance(value, StepsDone):
            yield {"type": "image_generation.progress", **common, "step": value.done, "steps": value.total}
        else:
            picture: Picture = task.finish(prompts, [submission.items[index]], [value])[0]
            yield {"type": "image_generation.completed", **common, **_completed(picture, usage)}


def _completed(picture: Picture, usage: ImageUsage) -> dict[str, Any]:
    return {
        "b64_json": encode_png(picture),
        "seed": picture.seed,
        "background": "opaque",
        "output_format": "png",
        "quality": "auto",
        "size": _size(picture),
        "usage": usage.model_dump(),
    }


def _size(picture: Picture) -> str:
    return f"{picture.width}x{picture.height}"


def _usage(submission: Submission) -> ImageUsage:
    """Count the prompt's tokens once, however many pictures it gets."""
    return count_usage(submission.items[0].value.tokens)
