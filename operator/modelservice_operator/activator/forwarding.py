"""One request to a pod, and its answer back: both as streams, nothing is kept or changed on the way.

Each connection serves one request. Towards the pod, because an idle connection that is used again may just have been
closed by the other side, and a request that was half sent cannot be sent twice. Towards the client, because its next
request shall take the direct way.
"""

import logging
from collections.abc import Iterable
from typing import Final

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from modelservice_operator.activator.directory import Target
from modelservice_operator.observability.scrape import host_of

log = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 2.0

_HOP_BY_HOP: Final = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade", "expect")
)  # fmt: skip
"""Headers that are about one connection (RFC 9110, section 7.6.1); `Expect` was answered here."""


class Unreachable(Exception):  # noqa: N818
    """No connection to the pod could be made: nothing of the request was sent, so another pod may have it."""


class Broken(Exception):  # noqa: N818
    """The pod ended the connection before it answered."""


def make_session() -> aiohttp.ClientSession:
    """Connections to pods: none is used twice, and an answer may take as long as it takes."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
    )


async def forward(request: web.Request, target: Target, session: aiohttp.ClientSession) -> web.StreamResponse:
    """Pass a request on and stream the answer back. Raises Unreachable and Broken.

    When the answer breaks off in the middle, so does the client's connection, which thereby sees that it is not whole.
    """
    url = URL(f"http://{host_of(target[0])}:{target[1]}{request.raw_path}", encoded=True)
    body = request.content if request.body_exists else None
    try:
        pending = session.request(
            request.method, url, data=body, headers=_outgoing(request), allow_redirects=False, compress=False
        )
        async with pending as answer:
            return await _stream(request, answer)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise Unreachable(str(error)) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Broken(f"{type(error).__name__}: {error}") from error


async def _stream(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=_kept(answer.headers))
    response.force_close()
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
    except aiohttp.ClientError as error:
        log.warning("A pod broke off its answer: %s: %s", type(error).__name__, error)
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def _outgoing(request: web.Request) -> CIMultiDict[str]:
    headers = _kept(request.headers)
    came_from = [*headers.popall("X-Forwarded-For", []), *([request.remote] if request.remote else [])]
    if came_from:
        headers["X-Forwarded-For"] = ", ".join(came_from)
    return headers


def _kept(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """The headers that are about the message and not about the connection."""
    named = _words(headers.getall("Connection", []))
    dropped = _HOP_BY_HOP | named
    return CIMultiDict((name, text) for name, text in headers.items() if name.lower() not in dropped)


def _words(values: Iterable[str]) -> set[str]:
    return {word.strip().lower() for value in values for word in value.split(",")}
