"""Every answer that is not a success, in OpenAI's shape: what is wrong, where, and the way out.

Messages never repeat what the client sent, beyond the name of a field: bodies stay out of logs and answers.
"""

import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from modelservice_runtime.engine.scheduling import Cancelled, Draining, ForwardFailed, QueueFull
from modelservice_runtime.observability.logging import log_failure
from modelservice_runtime.tasks.inputs import InvalidInput

logger = logging.getLogger(__name__)

RETRY_SECONDS = "1"
V2_PREFIX = "/v2"
TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
    499: "cancelled_error",
    503: "unavailable_error",
    504: "timeout_error",
}
UNION_PARTS = frozenset({"str", "int", "float", "bool", "none", "constrained-str", "constrained-int"})


class ApiError(Exception):
    """An answer to a client; raised anywhere on the event loop."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        rejected: str = "",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(message)
        self.headers = {**headers_for(status), **headers}
        self.status = status
        self.code = code
        self.param = param
        self.rejected = rejected

    def body(self) -> dict[str, Any]:
        """Return the JSON body."""
        return error_body(self.status, str(self), code=self.code, param=self.param)


def error_body(status: int, message: str, *, code: str, param: str | None = None) -> dict[str, Any]:
    """Return an error in OpenAI's shape."""
    return {"error": {"message": message, "type": TYPES.get(status, "server_error"), "param": param, "code": code}}


def shape_error(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return an error in the shape of the path's protocol; V2 has one string."""
    if not path.startswith(V2_PREFIX):
        return body
    error = body["error"]
    named = error["param"] is None or error["param"] in error["message"]
    return {"error": error["message"] if named else f"{error['param']}: {error['message']}"}


def headers_for(status: int) -> dict[str, str]:
    """Return the headers that belong to a status."""
    return {"retry-after": RETRY_SECONDS} if status in (429, 503) else {}


def to_api_error(error: Exception) -> ApiError:
    """Translate what tasks and schedulers raise."""
    match error:
        case ApiError():
            answer = error
        case InvalidInput():
            answer = ApiError(400, str(error), code="invalid_value", param=error.field, rejected=error.reason)
        case QueueFull():
            message = f"the server is full: {error}; try again shortly or add replicas"
            answer = ApiError(429, message, code=error.reason, rejected=error.reason)
        case Draining():
            answer = ApiError(503, str(error), code="draining", rejected="draining")
        case Cancelled():
            answer = _explain_cancelled(error)
        case ForwardFailed():
            log_failure(logger, "forward pass failed", error.__cause__)
            answer = ApiError(500, f"{error}; the server goes on", code="engine_error")
        case _:
            log_failure(logger, "unexpected error", error)
            answer = ApiError(500, "an unexpected error happened; the server's log has it", code="internal_error")
    return answer


def _explain_cancelled(error: Cancelled) -> ApiError:
    if error.reason == "drain":
        return ApiError(503, "the server is shutting down and ran out of time", code="draining")
    if error.reason == "disconnect":
        return ApiError(499, "the client closed the connection", code="disconnect")
    return ApiError(504, "the request took longer than the server allows; ask for less", code=error.reason)


def explain_invalid(problems: Sequence[Mapping[str, Any]]) -> tuple[str | None, str]:
    """Return the field and the message for pydantic's complaints.

    A union complains once for each of its members; the member of the right type, and the deepest place, tell most. A
    misspelt field is both unknown and missing; the unknown one is what the client wrote.
    """
    if not problems:
        return None, "the body is not valid"
    problem = max(
        problems, key=lambda p: (not p["type"].endswith("_type"), len(p["loc"]), p["type"] == "extra_forbidden")
    )
    kind = problem["type"]
    if kind == "json_invalid":
        return None, "the body is not valid JSON"
    field = _field(problem)
    if kind == "extra_forbidden":
        return field, f"{field}: unknown field; remove it"
    if kind == "missing" and not field:
        return None, "the body is missing; send a JSON object with content-type application/json"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if kind == "unsupported":
        return problem["ctx"]["field"], message
    return field or None, f"{field}: {message[:1].lower()}{message[1:]}" if field else message


def _field(problem: Mapping[str, Any]) -> str:
    """Return the dotted path without `body` and without the names that pydantic gives to members of a union."""
    path = [part for part in problem["loc"] if part != "body"]
    known = [str(part) for part in path if isinstance(part, int) or _is_field_name(str(part))]
    return ".".join(known)


def _is_field_name(part: str) -> bool:
    return part not in UNION_PARTS and part.replace("_", "").isalnum() and part[:1].islower()
