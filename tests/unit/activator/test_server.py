"""Requests through the activator to real HTTP servers in place of pods: streams, refusals, clients that leave."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from modelservice_operator.activator.directory import Directory, Service
from modelservice_operator.activator.forwarding import make_session
from modelservice_operator.activator.hall import Bounds, Hall
from modelservice_operator.activator.metrics import ActivatorMetrics
from modelservice_operator.activator.server import Desk, Patience, listen
from tests.support.polling import until
from tests.support.ports import free_port
from tests.unit.activator.test_hall import CHAT, door, pods

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Pod:
    """A server that answers as the test says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.port = free_port()
        self.asked: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.handler: Handler = self.echo
        self.left = asyncio.Event()
        self.go_on = asyncio.Event()

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self.runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        return await self.handler(request)

    async def echo(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        headers = {"X-Model": "chat", "Retry-After": "7"}
        return web.json_response({"got": len(self.bodies[-1])}, status=429, headers=headers)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            await response.write(b"data: one\n\n")
            await self.go_on.wait()
            await response.write(b"data: two\n\n")
        except asyncio.CancelledError:
            self.left.set()
            raise
        return response

    async def break_off(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    async def hang_up(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


class World:
    """An activator with one service and, when the test says so, its pod."""

    def __init__(self) -> None:
        self.port = free_port()
        self.pod = Pod()
        self.directory = Directory()
        self.hall = Hall(self.directory, lambda service: None, Bounds(held=2, held_in_all=100, at_once=64))
        self.metrics = ActivatorMetrics(self.hall.busy)
        self.client = aiohttp.ClientSession()
        self.url = f"http://127.0.0.1:{self.port}"

    async def start(self, hold_seconds: float = 30.0) -> None:
        self.session = make_session()
        desk = Desk(self.directory, self.hall, self.session, self.metrics, Patience(hold_seconds, 10))
        self.runner = await listen(desk, [self.port])
        await self.pod.start()
        self.show(ready=False)

    def show(self, ready: bool, port: int = 0) -> None:
        found = pods(("127.0.0.1", port or self.pod.port)) if ready else []
        for service in self.directory.update([door(port=self.port), *found]):
            self.hall.advance(service)

    async def close(self) -> None:
        await self.client.close()
        await self.runner.cleanup()
        await self.session.close()
        await self.pod.runner.cleanup()

    def metric(self, name: str, **labels: str) -> float:
        names = {"namespace": "team", "modelservice": "chat", **labels}
        self.metrics.render(dict)
        return self.metrics.registry.get_sample_value(f"modelservice_activator_{name}", names) or 0.0


@pytest.fixture
async def world() -> AsyncIterator[World]:
    found = World()
    await found.start()
    yield found
    await found.close()


async def test_held_request_reaches_the_pod_unchanged_and_its_answer_comes_back(world: World) -> None:
    headers = {
        "Authorization": "Bearer key",
        "Host": "chat.team.svc",
        "X-Thing": "a",
        "Connection": "x-thing, keep-alive",
    }
    asked = asyncio.create_task(
        world.client.post(f"{world.url}/v1/a%2Fb?q=1%202&q=3", data=b"x" * 300_000, headers=headers)
    )
    await until(lambda: world.hall.held(CHAT) == 1)
    assert world.metric("held_requests") == 1
    world.show(ready=True)
    answer = await asked
    assert (answer.status, await answer.json(), answer.headers["X-Model"]) == (429, {"got": 300_000}, "chat")
    assert answer.headers["Retry-After"] == "7"
    assert answer.headers["Connection"] == "close", "the next request takes the direct way"
    (seen,) = world.pod.asked
    assert (seen.method, seen.raw_path) == ("POST", "/v1/a%2Fb?q=1%202&q=3")
    assert (seen.headers["Host"], seen.headers["Authorization"]) == ("chat.team.svc", "Bearer key")
    assert seen.headers["X-Forwarded-For"] == "127.0.0.1"
    assert seen.headers["Content-Length"] == "300000"
    assert "X-Thing" not in seen.headers
    assert world.metric("wait_seconds_count") == 1
    assert world.metric("forwarded_requests_total") == 1
    assert world.metric("held_requests") == 0


async def test_body_without_a_length_is_streamed(world: World) -> None:
    world.show(ready=True)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"y" * 100_000

    async with world.client.put(world.url, data=pieces()) as answer:
        assert await answer.json() == {"got": 1_000_000}
    assert "Content-Length" not in world.pod.asked[0].headers


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
async def test_request_without_a_body_stays_without_one(world: World, method: str) -> None:
    world.show(ready=True)
    async with world.client.request(method, f"{world.url}/v1/models") as answer:
        assert answer.status == 429
        assert (await answer.read() == b"") == (method == "HEAD")
    assert (world.pod.asked[0].method, world.pod.bodies) == (method, [b""])


async def test_events_arrive_one_by_one(world: World) -> None:
    world.pod.handler = world.pod.stream
    world.show(ready=True)
    async with world.client.get(world.url) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert await answer.content.readany() == b"data: one\n\n"
        assert world.hall.busy() == {CHAT: (0, 1)}
        world.pod.go_on.set()
        assert await answer.content.read() == b"data: two\n\n"


async def test_pod_is_left_when_the_client_leaves_in_the_middle(world: World) -> None:
    world.pod.handler = world.pod.stream
    world.show(ready=True)
    answer = await world.client.get(world.url)
    await answer.content.readany()
    answer.close()
    await asyncio.wait_for(world.pod.left.wait(), 5)
    await world.hall.emptied()
    assert world.metric("abandoned_requests_total") == 1


async def test_client_that_leaves_while_it_waits_never_reaches_the_pod(world: World) -> None:
    asked = asyncio.create_task(world.client.get(world.url))
    await until(lambda: world.hall.held(CHAT) == 1)
    asked.cancel()
    await until(lambda: world.hall.held(CHAT) == 0)
    world.show(ready=True)
    assert world.pod.asked == []
    assert world.metric("abandoned_requests_total") == 1


async def test_request_past_the_bound_gets_503_and_when_to_come_again(world: World) -> None:
    asked = [asyncio.create_task(world.client.get(world.url)) for _ in range(2)]
    await until(lambda: world.hall.held(CHAT) == 2)
    async with world.client.post(world.url, data=b"body") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
        assert "2 requests wait for team/chat" in (await answer.json())["error"]["message"]
    assert world.metric("refused_requests_total", reason="full") == 1
    world.show(ready=True)
    assert [each.status for each in await asyncio.gather(*asked)] == [429, 429]


async def test_request_that_waited_in_vain_gets_503_and_when_to_come_again() -> None:
    world = World()
    await world.start(hold_seconds=0.05)
    async with world.client.get(world.url) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
        assert "no pod of team/chat" in (await answer.json())["error"]["message"]
    assert world.metric("refused_requests_total", reason="late") == 1
    await world.close()


async def test_port_that_stands_for_no_service_is_told_to_come_again(world: World) -> None:
    world.directory.update([])
    async with world.client.get(world.url) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
        assert "no ModelService is known" in json.loads(await answer.text())["error"]["message"]


async def test_request_waits_on_when_the_pod_does_not_listen_yet(world: World) -> None:
    world.show(ready=True, port=free_port())
    asked = asyncio.create_task(world.client.post(world.url, data=b"z" * 5))
    await until(lambda: world.hall.held(CHAT) == 1)
    world.show(ready=True)
    answer = await asked
    assert (answer.status, world.pod.bodies) == (429, [b"z" * 5])


async def test_answer_that_breaks_off_is_not_taken_for_a_whole_one(world: World) -> None:
    world.pod.handler = world.pod.break_off
    world.show(ready=True)
    with pytest.raises(aiohttp.ClientError):
        async with world.client.get(world.url) as answer:
            await answer.read()


async def test_pod_that_hangs_up_before_it_answers_is_told_as_502(world: World) -> None:
    world.pod.handler = world.pod.hang_up
    world.show(ready=True)
    async with world.client.post(world.url, data=b"body") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (502, "10")
    assert world.metric("refused_requests_total", reason="broken") == 1
    assert Service("team", "chat") not in world.hall.busy()
