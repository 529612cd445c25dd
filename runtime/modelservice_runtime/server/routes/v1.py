"""`/v1/models/{name}:predict`: the V1 inference protocol, for every task."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from modelservice_runtime.protocols.v1 import PredictRequest, PredictResponse
from modelservice_runtime.server.routes.generation import ERRORS
from modelservice_runtime.server.service import Service


def v1_routes(service: Service) -> APIRouter:
    """Return the endpoint."""
    router = APIRouter(tags=["v1"], responses=ERRORS)

    @router.post("/v1/models/{name:path}:predict", response_model=PredictResponse)
    async def predict(name: str, body: PredictRequest, request: Request) -> Response:
        """Run the model on each instance."""
        predictions = await service.infer(request, name, body.instances, body.parameters)
        return JSONResponse({"predictions": predictions})

    return router
