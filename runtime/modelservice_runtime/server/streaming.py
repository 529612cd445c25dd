"""Server-sent events as OpenAI's clients read them.

A request that is refused (a full queue, a prompt too long) is refused with a status before the stream begins. An error
after that is an event of its own, and the stream then ends without `[DONE]`, so that nobody takes it for complete. A
comment is sent when nothing else was for a while, so that proxies keep the connection.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from modelservice_runtime.server.errors import shape_error, to_api_error

KEEP_ALIVE_SECONDS = 15.0
DONE = b"data: [DONE]\n\n"
COMMENT = b": keep-alive\n\n"

_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # `json.dumps` makes an encoder each time


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
        pulse = _Pulse(send)
        beating = asyncio.ensure_future(pulse.beat())
        try:
            await super().__call__(scope, receive, pulse.send)
        finally:
            beating.cancel()
            self._on_close()


class _Pulse:
    """Passes on what is sent, and sends a comment after each silence in the middle of it.

    It keeps one timer for the whole stream: an answer has hundreds of events, and a timer or a task for each of them
    cost more than the event itself.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._turn = asyncio.Lock()
        self._sent_at = time.monotonic()
        self._open = False

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        async with self._turn:
            await self._send(message)
            self._open = message.get("more_body", True)
        self._sent_at = time.monotonic()

    async def beat(self) -> None:
        """Send the comments; never returns."""
        while True:
            await asyncio.sleep(self._sent_at + KEEP_ALIVE_SECONDS - time.monotonic())
            async with self._turn:
                if time.monotonic() - self._sent_at < KEEP_ALIVE_SECONDS:
                    continue
                if self._open:
                    await self._send({"type": "http.response.body", "body": COMMENT, "more_body": True})
                self._sent_at = time.monotonic()


async def _encode(chunks: AsyncIterator[dict[str, Any]], end: bytes, path: str, named: bool) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            yield _event(chunk, chunk["type"] if named else "")
    except Exception as error:  # the headers are gone: the error becomes the last event
        yield _event(shape_error(path, to_api_error(error).body()), "error" if named else "")
        return
    if end:
        yield end


def _event(chunk: dict[str, Any], name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {_write(chunk)}\n\n".encode()
