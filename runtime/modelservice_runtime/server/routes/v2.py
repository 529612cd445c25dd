"""The open inference protocol over REST: health and metadata of the server and of the model."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

import modelservice_runtime
from modelservice_runtime.server.lifecycle import State
from modelservice_runtime.server.routes.v2_infer import v2_inference_routes
from modelservice_runtime.server.service import Service
from modelservice_runtime.server.tensors import EXTENSIONS, check_model, describe_model


class V2Error(BaseModel):
    """Every answer of this protocol that is not a success."""

    error: str


V2_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": V2Error} for status in (400, 404, 413, 415, 429, 503, 504)
}


def v2_routes(service: Service) -> APIRouter:
    """Return the endpoints of the protocol; those of health answer while the model still loads.

    A model's name may hold slashes and may be followed by `/versions/1`.
    """
    router = APIRouter(prefix="/v2", tags=["v2"], responses=V2_ERRORS)
    router.include_router(v2_inference_routes(service))

    @router.get("")
    async def describe_server() -> dict[str, Any]:
        """Name the server and the extensions that it knows."""
        version = getattr(modelservice_runtime, "__version__", "0")
        return {"name": "modelservice", "version": version, "extensions": EXTENSIONS}

    @router.get("/health/live")
    async def tell_liveness() -> JSONResponse:
        """Tell whether the process is of use; the platform asks the admin port instead."""
        trouble = service.lifecycle.trouble(service.heartbeat_age(), service.settings.limits.hang_seconds)
        return JSONResponse({"live": not trouble}, 503 if trouble else 200)

    @router.get("/health/ready")
    async def tell_readiness() -> JSONResponse:
        """Tell whether the model answers."""
        ready = service.lifecycle.state is State.READY
        return JSONResponse({"ready": ready}, 200 if ready else 503)

    @router.get("/models/{name:path}/ready")
    async def tell_model_readiness(name: str, request: Request) -> JSONResponse:
        """Tell whether the model answers."""
        name = check_model(service, request, name)
        ready = service.lifecycle.state is State.READY
        return JSONResponse({"name": name, "ready": ready}, 200 if ready else 503)

    @router.get("/models/{name:path}")
    async def get_metadata(name: str, request: Request) -> dict[str, Any]:
        """Name the tensors that the model takes and gives."""
        return describe_model(service, check_model(service, request, name))

    return router
