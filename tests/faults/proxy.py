"""A proxy between one replica and the API server that does to chosen requests what networks and servers do.

It listens without TLS on loopback, in a thread with an event loop of its own, and passes everything on (the login too)
but what a rule takes. One proxy serves one replica, so that a fault can hit one and spare the other.
"""

import asyncio
import json
import re
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
from aiohttp import web

_PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/[^/]+)(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<resource>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<subresource>[a-z]+))?$"
)
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_DROPPED = ("host", "content-length", "transfer-encoding", "connection", "accept-encoding")
START_SECONDS = 5.0
LONGEST_LINE = 1 << 22
"""Bytes of an event of a watch: etcd takes objects of one and a half megabytes."""


@dataclass(frozen=True)
class Ask:
    """What a request is about; `resource` is empty for requests that are about no kind."""

    verb: str
    resource: str
    name: str
    subresource: str
    path: str
    query: str

    @property
    def is_write(self) -> bool:
        """Whether it changes something other than the lease."""
        return self.verb in _VERBS.values() and self.resource != "leases"

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f"/{self.subresource}" if self.subresource else "")


def read_ask(method: str, url: str) -> Ask:
    """Understand a request line."""
    parts = urlsplit(url)
    found = _PATH.match(parts.path)
    fields = found.groupdict(default="") if found else {"resource": "", "name": "", "subresource": ""}
    query = parse_qs(parts.query)
    verb = _VERBS.get(method) or ("watch" if "watch" in query else "get" if fields["name"] else "list")
    return Ask(verb, fields["resource"], fields["name"], fields["subresource"], parts.path, parts.query)


@dataclass
class Exchange:
    """One request on its way. `forward` sends it on and returns the answer whole."""

    ask: Ask
    request: web.Request
    body: bytes
    upstream: "Upstream"

    async def forward(self) -> web.Response:
        """The API server's answer."""
        return await self.upstream.answer(self)

    async def stream(self, edit: "Edit | None" = None) -> web.StreamResponse:
        """The API server's answer as it comes; `edit` sees every line of a watch and returns what to send for it."""
        return await self.upstream.stream(self, edit)

    def reset(self) -> web.StreamResponse:
        """Break the connection."""
        if self.request.transport is not None:
            self.request.transport.abort()
        return web.Response(status=500)


Fault = Callable[[Exchange], Awaitable[web.StreamResponse]]
Edit = Callable[[bytes], Awaitable[bytes]]


@dataclass
class Rule:
    """A fault for the requests that `matches`, after the first `skip` of them and for at most `times`."""

    matches: Callable[[Ask], bool]
    fault: Fault
    skip: int = 0
    times: int | None = None
    hits: list[Ask] = field(default_factory=list)
    _passed: int = 0

    def takes(self, ask: Ask) -> bool:
        """Whether the fault happens to this request; counts it."""
        if not self.matches(ask) or (self.times is not None and len(self.hits) >= self.times):
            return False
        if self._passed < self.skip:
            self._passed += 1
            return False
        self.hits.append(ask)
        return True


class Upstream:
    """The connection to the API server."""

    def __init__(self, server: str, authority: str) -> None:
        self._server = server
        self._tls = ssl.create_default_context(cadata=authority)
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the session; on the loop that uses it."""
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False, read_bufsize=LONGEST_LINE
        )

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    def request(self, exchange: Exchange) -> Any:
        """Send the request on."""
        assert self._session is not None
        headers = {k: v for k, v in exchange.request.headers.items() if k.lower() not in _DROPPED}
        url = self._server + exchange.request.raw_path
        return self._session.request(exchange.request.method, url, headers=headers, data=exchange.body or None)

    async def answer(self, exchange: Exchange) -> web.Response:
        """The whole answer; 502 when there is none."""
        try:
            async with self.request(exchange) as got:
                headers = {k: v for k, v in got.headers.items() if k.lower() not in _DROPPED}
                return web.Response(status=got.status, headers=headers, body=await got.read())
        except aiohttp.ClientError as error:
            return web.Response(status=502, text=str(error))

    async def stream(self, exchange: Exchange, edit: Edit | None) -> web.StreamResponse:
        """The answer line by line."""
        try:
            async with self.request(exchange) as got:
                headers = {k: v for k, v in got.headers.items() if k.lower() not in _DROPPED}
                response = web.StreamResponse(status=got.status, headers=headers)
                await response.prepare(exchange.request)
                while line := await got.content.readline():
                    await response.write(await edit(line) if edit else line)
                await response.write_eof()
                return response
        except aiohttp.ClientError:
            return exchange.reset()


class FaultProxy:
    """See the module. Rules are asked in order, the latest first; the first that takes a request decides."""

    def __init__(self, server: str, authority: str) -> None:
        self._upstream = Upstream(server, authority)
        self._rules: list[Rule] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._started = threading.Event()
        self.url = ""
        self.seen: list[Ask] = []
        self._watches: list[Exchange] = []

    def start(self) -> "FaultProxy":
        """Listen."""
        self._thread.start()
        assert self._started.wait(START_SECONDS), "the proxy did not start"
        return self

    def stop(self) -> None:
        """End with everything that is under way."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_SECONDS)

    def add(self, matches: Callable[[Ask], bool], fault: Fault, skip: int = 0, times: int | None = None) -> Rule:
        """Add a rule."""
        rule = Rule(matches, fault, skip, times)
        self._rules.insert(0, rule)
        return rule

    def sever(self) -> None:
        """Break every watch that is open."""
        self._loop.call_soon_threadsafe(lambda: [exchange.reset() for exchange in list(self._watches)])

    def heal(self) -> None:
        """Forget every rule: what is asked from now on is passed on."""
        self._rules.clear()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = self._loop.run_until_complete(self._open())
        self._started.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(self._upstream.close())
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _open(self) -> web.AppRunner:
        await self._upstream.open()
        application = web.Application(client_max_size=2**26)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        ask = read_ask(request.method, request.raw_path)
        self.seen.append(ask)
        exchange = Exchange(ask, request, await request.read(), self._upstream)
        rule = next((rule for rule in list(self._rules) if rule.takes(ask)), None)
        if ask.verb != "watch":
            return await (rule.fault(exchange) if rule else exchange.forward())
        self._watches.append(exchange)
        try:
            return await (rule.fault(exchange) if rule else exchange.stream())
        finally:
            self._watches.remove(exchange)


def status(code: int, reason: str, message: str = "", **headers: str) -> Fault:
    """Answer in the API server's place."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    text = json.dumps({**body, "message": message or f"the fault bench says {reason}"})

    async def fault(exchange: Exchange) -> web.StreamResponse:
        return web.Response(status=code, text=text, content_type="application/json", headers=headers)

    return fault


def late(seconds: float) -> Fault:
    """Pass on after a while."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await (exchange.stream() if exchange.ask.verb == "watch" else exchange.forward())

    return fault


async def reset(exchange: Exchange) -> web.StreamResponse:
    """Break the connection instead of passing on."""
    return exchange.reset()


async def swallow(exchange: Exchange) -> web.StreamResponse:
    """Pass on, and break the connection instead of answering."""
    await exchange.forward()
    return exchange.reset()


async def freeze(exchange: Exchange) -> web.StreamResponse:
    """Never answer, pass nothing on."""
    await asyncio.Event().wait()
    return exchange.reset()


async def cut(exchange: Exchange) -> web.StreamResponse:
    """Answer half of the body, then break the connection."""
    whole = await exchange.forward()
    assert isinstance(whole.body, bytes)
    response = web.StreamResponse(status=whole.status, headers={"Content-Type": "application/json"})
    response.content_length = len(whole.body)
    await response.prepare(exchange.request)
    await response.write(whole.body[: len(whole.body) // 2])
    return exchange.reset()


def instead(action: Callable[[], object]) -> Fault:
    """Do something, and pass nothing on."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        action()
        return exchange.reset()

    return fault


def afterwards(action: Callable[[], object]) -> Fault:
    """Pass on, do something, and do not answer."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        await exchange.forward()
        action()
        return exchange.reset()

    return fault


def edited(edit: Edit) -> Fault:
    """Pass a watch on, each line as `edit` returns it."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        return await exchange.stream(edit)

    return fault
