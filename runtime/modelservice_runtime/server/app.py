"""The inference application: routes and errors behind the guard.

The interactive documentation pages of FastAPI load their scripts from the network, which a cluster may not have; ours
are in `pages`.
"""

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.types import ASGIApp

import modelservice_runtime
from modelservice_runtime.server.guard import Guard, GuardLimits
from modelservice_runtime.server.handlers import install_errors
from modelservice_runtime.server.lifecycle import State
from modelservice_runtime.server.openapi import describe_api
from modelservice_runtime.server.routes.audio import audio_routes
from modelservice_runtime.server.routes.encoders import encoder_routes
from modelservice_runtime.server.routes.explain import explain_routes
from modelservice_runtime.server.routes.generation import generation_routes
from modelservice_runtime.server.routes.images import image_routes
from modelservice_runtime.server.routes.models import model_routes
from modelservice_runtime.server.routes.pages import page_routes
from modelservice_runtime.server.routes.responses import response_routes
from modelservice_runtime.server.routes.v1 import v1_routes
from modelservice_runtime.server.routes.v2 import v2_routes
from modelservice_runtime.server.service import Service

# FastAPI's own telemetry records the messages of exceptions, which may hold what clients sent; see `tracing.py`.
NO_TELEMETRY = TelemetryConfig(tracing=False, metrics=False, logs=False, operation_spans=False, auto_configure=False)

ROUTES = (
    audio_routes,
    encoder_routes,
    explain_routes,
    generation_routes,
    image_routes,
    model_routes,
    response_routes,
    v1_routes,
    v2_routes,
)


def build_app(service: Service) -> ASGIApp:
    """Return the application of the inference port."""
    app = FastAPI(
        title="modelservice",
        version=getattr(modelservice_runtime, "__version__", "0"),
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        telemetry=NO_TELEMETRY,
    )
    app.openapi = lambda: describe_api(app, service)  # type: ignore[method-assign]
    install_errors(app, service.metrics)
    for routes in ROUTES:
        app.include_router(routes(service))
    if service.settings.server.playground:
        app.include_router(page_routes())
    limits = service.settings.limits
    guard_limits = GuardLimits(lambda: body_bytes(service), limits.body_seconds, limits.max_connections)
    return Guard(
        app,
        guard_limits,
        service.metrics,
        lambda: service.lifecycle.state is State.DRAINING,
        service.keys,
        service.tracer,
    )


def body_bytes(service: Service) -> int:
    """Return the largest body that is read: media are larger than text, where the task reads them."""
    limits = service.settings.limits
    return max(limits.max_body_bytes, limits.max_media_body_bytes) if service.reads_media else limits.max_body_bytes
