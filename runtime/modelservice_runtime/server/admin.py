"""The admin port: probes, metrics and status. A bare ASGI application, up before anything else is imported.

None of it touches the torch thread, so it answers while the model loads and while the engine is at its limit.
"""

import json
from collections.abc import Callable
from typing import Any

from starlette.types import Receive, Scope, Send

from modelservice_runtime.config import LIVEZ_PATH, METRICS_PATH, READYZ_PATH, STARTUPZ_PATH, STATUS_PATH
from modelservice_runtime.server.lifecycle import Lifecycle, State

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Answer = tuple[int, str, bytes]


class AdminApp:
    """Answers the five paths of the contract."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        heartbeat_age: Callable[[], float],
        hang_seconds: float,
        scrape: Callable[[], bytes],
        status: Callable[[], dict[str, Any]],
    ) -> None:
        self._lifecycle = lifecycle
        self._heartbeat_age = heartbeat_age
        self._hang_seconds = hang_seconds
        self._paths: dict[str, Callable[[], Answer]] = {
            LIVEZ_PATH: self._livez,
            READYZ_PATH: self._readyz,
            STARTUPZ_PATH: self._startupz,
            METRICS_PATH: lambda: (200, METRICS_TYPE, scrape()),
            STATUS_PATH: lambda: (200, "application/json", json.dumps(status()).encode()),
        }

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        answer = self._paths.get(scope["path"], _not_found) if scope["method"] in ("GET", "HEAD") else _not_allowed
        status, media_type, body = answer()
        headers = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _livez(self) -> Answer:
        trouble = self._lifecycle.trouble(self._heartbeat_age(), self._hang_seconds)
        return _probe(not trouble, trouble or str(self._lifecycle.state))

    def _readyz(self) -> Answer:
        return _probe(self._lifecycle.state is State.READY, str(self._lifecycle.state))

    def _startupz(self) -> Answer:
        return _probe(self._lifecycle.was_ready, str(self._lifecycle.state))


def _probe(good: bool, text: str) -> Answer:
    return 200 if good else 503, "text/plain; charset=utf-8", f"{text}\n".encode()


def _not_found() -> Answer:
    return 404, "text/plain; charset=utf-8", b"no such path\n"


def _not_allowed() -> Answer:
    return 405, "text/plain; charset=utf-8", b"only GET\n"
