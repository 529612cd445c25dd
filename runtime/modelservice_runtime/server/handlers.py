"""Answering exceptions, whatever raised them, in one shape."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from modelservice_runtime.engine.scheduling import Cancelled, Draining, ForwardFailed, QueueFull
from modelservice_runtime.observability.metrics import Metrics
from modelservice_runtime.protocols.instances import InvalidInstances
from modelservice_runtime.server.errors import ApiError, error_body, explain_invalid, shape_error, to_api_error
from modelservice_runtime.tasks.inputs import InvalidInput


def install_errors(app: FastAPI, metrics: Metrics) -> None:
    """Make the app answer every exception in one shape."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        translated = to_api_error(error)
        if translated.rejected:
            metrics.rejected.labels(metrics.model, translated.rejected).inc()
        body = shape_error(request.url.path, translated.body())
        return JSONResponse(body, translated.status, translated.headers)

    async def answer_invalid(request: Request, error: Exception) -> JSONResponse:
        metrics.rejected.labels(metrics.model, "invalid").inc()
        problems = error.errors() if isinstance(error, RequestValidationError | InvalidInstances) else []
        param, message = explain_invalid(problems)
        body = error_body(400, message, code="invalid_value", param=param)
        return JSONResponse(shape_error(request.url.path, body), 400)

    async def answer_http(request: Request, error: Exception) -> JSONResponse:
        status = error.status_code if isinstance(error, HTTPException) else 500
        message = {404: "there is no such path; /openapi.json lists them", 405: "this path does not take this method"}
        code = "not_found" if status == 404 else "http"
        body = error_body(status, message.get(status, "the request was refused"), code=code)
        return JSONResponse(shape_error(request.url.path, body), status)

    for kind in (ApiError, InvalidInput, QueueFull, Draining, Cancelled, ForwardFailed, Exception):
        app.add_exception_handler(kind, answer)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    app.add_exception_handler(InvalidInstances, answer_invalid)
    app.add_exception_handler(HTTPException, answer_http)
