"""The outermost layer of the inference server: what a request may cost before anyone looks at it.

The body is read here, whole, before the application runs: within a size, within a time, and without occupying
anything but its connection. A client that drips its body byte by byte therefore never holds a slot of the model. The
guard also counts every answer, and closes connections politely while the process drains.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelservice_runtime.observability.journey import Journey, begin_journey
from modelservice_runtime.observability.metrics import Metrics
from modelservice_runtime.observability.tracing import NoTracer, Tracer, Trip
from modelservice_runtime.server.errors import ApiError, shape_error, to_api_error
from modelservice_runtime.server.keys import Keyring, needs_key
from modelservice_runtime.server.refusals import STATUSES, RefusalPace

UNMATCHED = "_unmatched"
MODEL_KEY = "modelservice.model"
OWN_KEY = "modelservice.own"
"""Key of a scope that the process itself made: it needs no API key, and is answered while others have to wait."""


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """Bounds of one request body, and of all open requests; `body_bytes` is asked for each body."""

    body_bytes: Callable[[], int]
    body_seconds: float
    open_requests: int


class Guard:
    """ASGI middleware; `is_draining` is asked once per answer."""

    def __init__(
        self,
        app: ASGIApp,
        limits: GuardLimits,
        metrics: Metrics,
        is_draining: Callable[[], bool],
        keys: Keyring | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._app = app
        self._limits = limits
        self._metrics = metrics
        self._is_draining = is_draining
        self._keys = keys
        self._tracer = tracer or NoTracer()
        self._pace = RefusalPace()
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, self._is_draining(), self._pace)
        journey = begin_journey()
        self._open += 1
        try:
            if self._open > self._limits.open_requests:
                raise ApiError(
                    503, "too many open requests; try again shortly", code="overloaded", rejected="queue_full"
                )
            journey.caller = self._check_key(scope)
            _refuse_compressed(scope)
            body = await self._read(scope, receive)
            await self._app(scope, _replay(body, receive), answer.send)
        except ApiError as error:
            await self._refuse(scope["path"], error, answer)
        except Exception as error:  # answered and logged already, unless it came from a place without a handler
            if not answer.begun:
                await self._refuse(scope["path"], to_api_error(error), answer)
        finally:
            self._open -= 1
            self._report(scope, answer.status, journey)

    def _check_key(self, scope: Scope) -> str:
        """Return the name of the key. Raises ApiError 401 or 429 when there are keys and it has none that may ask."""
        if self._keys is None or OWN_KEY in scope or not needs_key(scope["method"], scope["path"]):
            return ""
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        return self._keys.admit(given[0].decode("latin-1") if given else "")

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        """Read the whole body. Raises ApiError 413, 408, or 499 when the client left."""
        limit = self._limits.body_bytes()
        too_large = ApiError(
            413, f"the body is larger than {limit} bytes; send less, or raise limits.max_body_bytes",
            code="body_too_large", rejected="body_too_large",
        )  # fmt: skip
        if any(name == b"content-length" and int(value) > limit for name, value in scope["headers"]):
            raise too_large
        chunks, size = [], 0
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ApiError(499, "the client closed the connection", code="disconnect")
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > limit:
                        raise too_large
                    if not message.get("more_body", False):
                        return b"".join(chunks)
        except TimeoutError:
            raise ApiError(
                408, f"the body did not arrive within {self._limits.body_seconds:g} seconds",
                code="body_timeout", rejected="invalid",
            ) from None  # fmt: skip

    async def _refuse(self, path: str, error: ApiError, answer: "_Answer") -> None:
        if error.rejected:
            self._metrics.rejected.labels(self._metrics.model, error.rejected).inc()
        body = json.dumps(shape_error(path, error.body())).encode()
        headers = {"content-type": "application/json", "connection": "close", **error.headers}
        await answer.send(
            {
                "type": "http.response.start",
                "status": error.status,
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            }
        )
        await answer.send({"type": "http.response.body", "body": body})

    def _report(self, scope: Scope, status: int, journey: Journey) -> None:
        """Count an answer and trace it, by the template of its path."""
        metrics = self._metrics
        endpoint = getattr(scope.get("route"), "path", UNMATCHED)
        model = metrics.label_of(scope.get(MODEL_KEY, metrics.model))
        metrics.count(model, endpoint, status, journey)
        given = [value for name, value in scope["headers"] if name == b"traceparent"]
        traceparent = given[0].decode("latin-1") if given else ""
        self._tracer.report(Trip(scope["method"], endpoint, status, model, metrics.task, traceparent, journey))


class _Answer:
    """Remembers the status of an answer, holds refusals, and asks to reconnect elsewhere while draining."""

    def __init__(self, send: Send, draining: bool, pace: RefusalPace) -> None:
        self._send = send
        self._draining = draining
        self._pace = pace
        self.status = 499
        self.begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.begun = True
            if self.status not in STATUSES:
                self._pace.answered()
            elif seconds := self._pace.hold_seconds():
                await asyncio.sleep(seconds)
            if self._draining:
                message = {**message, "headers": [*message.get("headers", []), (b"connection", b"close")]}
        await self._send(message)


def _refuse_compressed(scope: Scope) -> None:
    """Refuse a body that is small on the wire and of any size unpacked. Raises ApiError 415."""
    if any(name == b"content-encoding" and value != b"identity" for name, value in scope["headers"]):
        raise ApiError(
            415, "compressed bodies are not taken; send the body without content-encoding",
            code="unsupported_encoding", rejected="invalid",
        )  # fmt: skip


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body once and then waits for the client to leave."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay
