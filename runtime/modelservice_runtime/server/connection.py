"""Connections that never say anything, and those that never listen.

uvicorn waits without end for the first byte and for the last header of a request, so a client that opens connections
and drips headers holds them all. This connection closes itself when the headers of its first request are not complete
in time; between requests uvicorn's own keep-alive timeout applies.

A client that asks for a long stream and does not read it would keep the answer in memory, and the request open, for as
long as it likes. What may wait for a client is bounded, by the kernel's buffer and by asyncio's; when they are full and
do not drain in time, the connection is cut, which cancels its work.
"""

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 15.0
STALL_SECONDS = 30.0
SEND_BYTES = 1 << 20
WAITING_BYTES = 1 << 16


class GuardedConnection(HttpToolsProtocol):
    """uvicorn's httptools connection with deadlines for headers, and for reading what is sent."""

    _deadline: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the clock."""
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        transport.set_write_buffer_limits(high=WAITING_BYTES)
        self._deadline = self.loop.call_later(HEADER_SECONDS, transport.close)

    def on_message_begin(self) -> None:
        """Start the clock again for a further request on the same connection."""
        super().on_message_begin()
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def on_headers_complete(self) -> None:
        """Stop the clock: from here on the guard watches the body."""
        self._stop()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._stop()
        self._drained()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Start the clock of a client that does not read."""
        super().pause_writing()
        self._drained()
        self._stalled = self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop it: the client reads again."""
        self._drained()
        super().resume_writing()

    def _drained(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
