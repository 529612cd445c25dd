"""`/v1/embeddings`, `/v1/classify`, `/v1/rerank` and `/v1/similarity`: one forward pass answers."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from modelservice_runtime.protocols.classify import (
    TASKS,
    ClassifyRequest,
    ClassifyResponse,
    write_classifications,
    write_entities,
)
from modelservice_runtime.protocols.openai_embeddings import (
    Embedding,
    EmbeddingRequest,
    EmbeddingResponse,
    encode_vector,
)
from modelservice_runtime.protocols.openai_generation import Usage
from modelservice_runtime.protocols.rerank import (
    RerankRequest,
    RerankResponse,
    Similarity,
    SimilarityRequest,
    SimilarityResponse,
    write_ranking,
)
from modelservice_runtime.server.routes.generation import ERRORS
from modelservice_runtime.server.service import Service, Submission
from modelservice_runtime.tasks.base import LoadedTask

COMPARING = ("rerank", "feature-extraction")


def encoder_routes(service: Service) -> APIRouter:
    """Return the endpoints."""
    router = APIRouter(tags=["encoders"], responses=ERRORS)

    async def run(request: Request, task: LoadedTask, parsed: Any) -> tuple[list[Any], Usage]:
        submission = await service.submit(task, parsed)
        results = await service.attend(request, task, submission, service.results(submission))
        return task.finish(parsed, submission.items, results), _usage(submission)

    @router.post("/v1/embeddings", response_model=EmbeddingResponse)
    async def create_embeddings(body: EmbeddingRequest, request: Request) -> Response:
        """Return one vector for each input."""
        task, _ = service.require(request, body.model, ("feature-extraction",))
        vectors, usage = await run(request, task, body.to_task())
        data = [
            Embedding(index=index, embedding=encode_vector(vector, body.encoding_format))
            for index, vector in enumerate(vectors)
        ]
        answer = EmbeddingResponse(data=data, model=body.model, usage=usage)
        # pydantic's own writer: the standard library's takes longer over a vector than a small model over a short text
        return Response(answer.model_dump_json(), media_type="application/json")

    @router.post("/v1/classify", response_model=ClassifyResponse)
    async def classify(body: ClassifyRequest, request: Request) -> Response:
        """Return labels with probabilities for each input, or the entities in it when the model labels tokens."""
        task, info = service.require(request, body.model, TASKS)
        found, usage = await run(request, task, body.to_task(info.name))
        write = write_entities if info.gives == "entities" else write_classifications
        data: Any = write(found, body)
        answer = ClassifyResponse(model=body.model, data=data, usage=usage)
        return JSONResponse(answer.model_dump())

    @router.post("/v1/rerank", response_model=RerankResponse, response_model_exclude_none=True)
    async def rerank(body: RerankRequest, request: Request) -> Response:
        """Return the documents by their relevance to the query, by a cross-encoder or the cosine of embeddings."""
        task, _ = service.require(request, body.model, COMPARING)
        (scores,), usage = await run(request, task, body.to_task())
        answer = RerankResponse(model=body.model, results=write_ranking(scores, body), usage=usage)
        return JSONResponse(answer.model_dump(exclude_none=True))

    @router.post("/v1/similarity", response_model=SimilarityResponse)
    async def compare(body: SimilarityRequest, request: Request) -> Response:
        """Return how alike the source sentence and each of the others are."""
        task, _ = service.require(request, body.model, COMPARING)
        (scores,), usage = await run(request, task, body.to_task())
        data = [Similarity(index=index, score=score) for index, score in enumerate(scores)]
        answer = SimilarityResponse(model=body.model, data=data, usage=usage)
        return JSONResponse(answer.model_dump())

    return router


def _usage(submission: Submission) -> Usage:
    return Usage(prompt_tokens=submission.prompt_cost, total_tokens=submission.prompt_cost)
