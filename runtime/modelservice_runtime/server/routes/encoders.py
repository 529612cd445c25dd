"""`/v1/embeddings` and `/v1/classify`: one forward pass answers."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from modelservice_runtime.protocols.classify import (
    IMAGE_TASKS,
    TEXT_TASKS,
    Classification,
    ClassifyRequest,
    ClassifyResponse,
    LabelScore,
)
from modelservice_runtime.protocols.openai_embeddings import (
    Embedding,
    EmbeddingRequest,
    EmbeddingResponse,
    encode_vector,
)
from modelservice_runtime.protocols.openai_generation import Usage
from modelservice_runtime.server.routes.generation import ERRORS
from modelservice_runtime.server.service import Service, Submission


def encoder_routes(service: Service) -> APIRouter:
    """Return the two endpoints."""
    router = APIRouter(tags=["encoders"], responses=ERRORS)

    @router.post("/v1/embeddings", response_model=EmbeddingResponse)
    async def create_embeddings(body: EmbeddingRequest, request: Request) -> Response:
        """Return one vector for each input."""
        task, _ = service.require(request, body.model, ("feature-extraction",))
        submission = await service.submit(task, body.to_task())
        results = await service.attend(request, task, submission, service.results(submission))
        vectors = task.finish(body, submission.items, results)
        data = [
            Embedding(index=index, embedding=encode_vector(vector, body.encoding_format))
            for index, vector in enumerate(vectors)
        ]
        answer = EmbeddingResponse(data=data, model=body.model, usage=_usage(submission))
        return JSONResponse(answer.model_dump())

    @router.post("/v1/classify", response_model=ClassifyResponse)
    async def classify(body: ClassifyRequest, request: Request) -> Response:
        """Return labels with probabilities for each input."""
        task, info = service.require(request, body.model, TEXT_TASKS + IMAGE_TASKS)
        submission = await service.submit(task, body.to_task(info.name))
        results = await service.attend(request, task, submission, service.results(submission))
        data = []
        for index, labels in enumerate(task.finish(body, submission.items, results)):
            kept = [LabelScore(label=label.label, score=label.score) for label in labels[: body.top_k or None]]
            data.append(Classification(index=index, label=kept[0].label, score=kept[0].score, labels=kept))
        answer = ClassifyResponse(model=body.model, data=data, usage=_usage(submission))
        return JSONResponse(answer.model_dump())

    return router


def _usage(submission: Submission) -> Usage:
    return Usage(prompt_tokens=submission.prompt_cost, total_tokens=submission.prompt_cost)
