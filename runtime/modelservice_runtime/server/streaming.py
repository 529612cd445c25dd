"""Server-sent events as OpenAI's clients read them.

A request that is refused (a full queue, a prompt too long) is refused with a status before the stream begins. An error
after that is an event of its own, and the stream then ends without `[DONE]`, so that nobody takes it for complete. A
comment is sent when nothing else was for a while, so that proxies keep the connection.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from modelservice_runtime.server.errors import shape_error, to_api_error

KEEP_ALIVE_SECONDS = 15.0
DONE = b"data: [DONE]\n\n"
COMMENT = b": keep-alive\n\n"


class EventStream(StreamingResponse):
    """Sends each dict as one event; calls `on_close` when the answer is over, however it ended.

    `end` follows the last event of a complete answer; `path` chooses the shape of an error. When the events are
    `named`, each is preceded by its type.
    """

    def __init__(
        self,
        chunks: AsyncIterator[dict[str, Any]],
        on_close: Callable[[], None],
        *,
        end: bytes = DONE,
        path: str = "",
        named: bool = False,
    ) -> None:
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        super().__init__(_encode(chunks, end, path, named), media_type="text/event-stream", headers=headers)
        self._on_close = on_close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream until it ends or the client leaves."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_close()


async def _encode(chunks: AsyncIterator[dict[str, Any]], end: bytes, path: str, named: bool) -> AsyncIterator[bytes]:
    try:
        async for chunk in _with_keep_alive(chunks):
            yield COMMENT if chunk is None else _event(chunk, chunk["type"] if named else "")
    except Exception as error:  # the headers are gone: the error becomes the last event
        yield _event(shape_error(path, to_api_error(error).body()), "error" if named else "")
        return
    if end:
        yield end


async def _with_keep_alive(chunks: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any] | None]:
    """Yield the chunks, and None after each silence."""
    pending: asyncio.Future[dict[str, Any]] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(anext(chunks))
            done, _ = await asyncio.wait({pending}, timeout=KEEP_ALIVE_SECONDS)
            if not done:
                yield None
                continue
            try:
                chunk = pending.result()
            except StopAsyncIteration:
                return
            pending = None
            yield chunk
    finally:
        if pending is not None:
            pending.cancel()


def _event(chunk: dict[str, Any], name: str = "") -> bytes:
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + json.dumps(chunk, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
