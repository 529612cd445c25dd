"""What can go wrong when talking to the API server: one tree, sorted by what the caller should do next.

ApiError
  NotFound       404: the object is gone; observe again
  Conflict       409: something changed in between; observe again and retry
  Invalid        400, 413, 422: the request itself is wrong; retrying the same cannot help
  Forbidden      401, 403: permissions, quota or admission; someone has to act
  Throttled      429: try again, not before `retry_after` seconds
  Unavailable    5xx, timeouts, broken connections: try again later
"""

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """An answer other than 2xx, or no answer (`code` 0). `message` is the server's own text."""

    def __init__(self, code: int, message: str, reason: str = "") -> None:
        super().__init__(f"{code} {reason}: {message}" if code else message)
        self.code = code
        self.message = message
        self.reason = reason


class NotFound(ApiError):  # noqa: N818
    """The object, or its kind, does not exist."""


class Conflict(ApiError):  # noqa: N818
    """A precondition (resourceVersion, uid) failed, or the object exists already."""


class Invalid(ApiError):  # noqa: N818
    """The API server refuses the content."""


class Forbidden(ApiError):  # noqa: N818
    """Authentication, RBAC, quota or an admission policy forbids it."""


class Throttled(ApiError):  # noqa: N818
    """The API server asks for patience."""

    def __init__(self, code: int, message: str, reason: str = "", retry_after: float = 1.0) -> None:
        super().__init__(code, message, reason)
        self.retry_after = retry_after


class Unavailable(ApiError):  # noqa: N818
    """The API server did not answer in time, or answered with a failure of its own."""


UNTYPABLE = "failed to create typed patch object"
"""How the API server begins its answer (a 500) to an apply with a field that the schema does not have."""

_BY_CODE: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: NotFound,
    413: Invalid,
    422: Invalid,
}


def error_from(code: int, status: Mapping[str, Any], retry_after: str | None = None) -> ApiError:
    """Build the error for an HTTP answer; `status` is the decoded Status object, or empty."""
    message = str(status.get("message") or f"HTTP {code}")
    reason = str(status.get("reason") or "")
    if code == 429:
        return Throttled(code, message, reason, _seconds(retry_after))
    if code == 500 and message.startswith(UNTYPABLE):
        return Invalid(code, message, reason)
    return _BY_CODE.get(code, Unavailable if code >= 500 else ApiError)(code, message, reason)


def _seconds(header: str | None) -> float:
    try:
        return max(0.0, float(header)) if header else 1.0
    except ValueError:
        return 1.0
