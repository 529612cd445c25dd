"""A port of a pod on this machine, through the API server: what `kubectl port-forward` does, for the time of a block.

Every connection to the local port gets a websocket of its own. On it a first byte names the channel: 0 carries the
connection, 1 the kubelet's complaint; the first message of each channel repeats the port.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from kubernetes.aio.stream import WsApiClient

from modelservice_operator.kube.client import Login
from modelservice_operator.kube.errors import error_from
from modelservice_operator.kube.resources import POD

_DATA: Final = 0
_CHUNK: Final = 1 << 16


@dataclass(slots=True)
class Forward:
    """A forwarded port. `problems` are what the API server or the kubelet said against connections."""

    url: str = ""
    problems: list[str] = field(default_factory=list)


@asynccontextmanager
async def forward(login: Login, namespace: str, pod: str, port: int) -> AsyncIterator[Forward]:
    """Forward a pod's port to one on 127.0.0.1, which the address in the result names."""
    client = WsApiClient(login.configuration)
    opened = Forward()

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _carry(client, f"{POD.path(namespace, pod)}/portforward", port, reader, writer, opened)
        except aiohttp.WSServerHandshakeError as error:
            opened.problems.append(str(error_from(error.status, {"message": error.message})))
        except (aiohttp.ClientError, OSError) as error:
            opened.problems.append(str(error))
        finally:
            writer.close()

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0)
    opened.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield opened
    finally:
        server.close()
        await client.close()


async def _carry(
    client: WsApiClient,
    path: str,
    port: int,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    opened: Forward,
) -> None:
    """Carry one connection until either side ends it."""
    method, url, headers, *_ = await client.param_serialize(
        "GET", path, query_params=[("ports", str(port))], header_params={}, auth_settings=["BearerToken"]
    )
    answer = await client.call_api(method, url, headers, _preload_content=False)
    async with answer.response as socket:
        sending = asyncio.create_task(_send(socket, reader))
        try:
            await _receive(socket, writer, opened)
        finally:
            sending.cancel()


async def _send(socket: Any, reader: asyncio.StreamReader) -> None:
    while chunk := await reader.read(_CHUNK):
        await socket.send_bytes(bytes([_DATA]) + chunk)


async def _receive(socket: Any, writer: asyncio.StreamWriter, opened: Forward) -> None:
    greeted: set[int] = set()
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, content = message.data[0], message.data[1:]
        if channel not in greeted:
            greeted.add(channel)
            content = content[2:]
        if content and channel == _DATA:
            writer.write(content)
            await writer.drain()
        elif content:
            opened.problems.append(content.decode(errors="replace").strip())
            return
