"""`/v1/explain` and `/v1/models/{name}:explain`: what decided an answer."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from modelservice_runtime.protocols.explain import (
    ExplainInstancesRequest,
    ExplainInstancesResponse,
    ExplainParameters,
    ExplainRequest,
    ExplainResponse,
    write_explanation,
)
from modelservice_runtime.server.routes.generation import ERRORS
from modelservice_runtime.server.service import Service


def explain_routes(service: Service) -> APIRouter:
    """Return the two endpoints."""
    router = APIRouter(tags=["explanations"], responses=ERRORS)

    async def explain(
        request: Request, model: str, instances: list[Any], parameters: ExplainParameters
    ) -> list[dict[str, Any]]:
        found = await service.explain(request, model, instances, parameters.to_options())
        return [write_explanation(explanation) for explanation in found]

    @router.post("/v1/explain", response_model=ExplainResponse)
    async def explain_inputs(body: ExplainRequest, request: Request) -> Response:
        """Tell what each token or pixel added to a label."""
        found = await explain(request, body.model, body.instances, body)
        data = [{"index": index, **explanation} for index, explanation in enumerate(found)]
        return JSONResponse({"object": "list", "model": body.model, "data": data})

    @router.post("/v1/models/{name:path}:explain", response_model=ExplainInstancesResponse)
    async def explain_instances(name: str, body: ExplainInstancesRequest, request: Request) -> Response:
        """Tell what each token or pixel added to a label, by the V1 protocol."""
        return JSONResponse({"explanations": await explain(request, name, body.instances, body.parameters)})

    return router
