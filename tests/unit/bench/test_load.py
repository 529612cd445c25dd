"""The load generator against a real HTTP server on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiohttp import BodyPartReader, web

from tests.bench.runtime.load import Generator, Shot, arrivals, form_shot, json_shot

STREAM = json_shot("/stream", {"stream": True})


class Counts:
    """What the server saw."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self.left = 0
        self.two = asyncio.Event()


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def server() -> AsyncIterator[tuple[str, Counts]]:
    counts = Counts()
    async with serving(_app(counts)) as base:
        yield base, counts


def _app(counts: Counts) -> web.Application:
    async def answer(request: web.Request) -> web.Response:
        counts.now += 1
        counts.most = max(counts.most, counts.now)
        if counts.now == 2:
            counts.two.set()
        await asyncio.sleep(0.005)
        counts.now -= 1
        return web.json_response({"got": await request.json()})

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=429)

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        words = [{"choices": [{"delta": {"content": word}}]} for word in ("a", "b", "", "c")]
        try:
            for event in [*words, {"choices": [], "usage": {"completion_tokens": 6}}]:
                await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
                await asyncio.sleep(0.002)
            await response.write(b": a comment\n\ndata: [DONE]\n\n")
        except ConnectionError:
            counts.left += 1
        return response

    app = web.Application()
    app.add_routes([web.post("/answer", answer), web.post("/refuse", refuse), web.post("/stream", stream)])
    return app


async def test_a_stream_is_read_event_by_event_when_it_is_complete() -> None:
    async with server() as (base, _), Generator(base) as generator:
        outcome = await generator.send(STREAM)
    assert (outcome.status, len(outcome.events), outcome.tokens, outcome.complete) == (200, 3, 6, True)
    assert outcome.began <= outcome.events[0] <= outcome.events[-1] <= outcome.ended


async def test_a_client_leaves_when_it_has_seen_enough() -> None:
    async with server() as (base, _), Generator(base) as generator:
        outcome = await generator.send(Shot("/stream", b"{}", stream=True, leave_after=1))
    assert outcome.left
    assert not outcome.complete
    assert len(outcome.events) == 1


async def test_a_refusal_is_an_outcome_when_the_server_is_full() -> None:
    async with server() as (base, _), Generator(base) as generator:
        outcome = await generator.send(json_shot("/refuse", {}))
    assert (outcome.status, outcome.complete) == (429, False)


async def test_a_dead_server_is_an_outcome_when_nothing_listens() -> None:
    async with server() as (base, _):
        pass
    async with Generator(base) as generator:
        assert (await generator.send(STREAM)).status == 0


async def test_a_closed_loop_keeps_its_clients_busy_and_has_never_more() -> None:
    async with server() as (base, counts), Generator(base) as generator:
        load = await generator.closed(4, lambda number: json_shot("/answer", {"n": number}), 1.0)
    assert counts.most == 4
    assert sum(outcome.complete for outcome in load.outcomes) > 4
    assert sum(outcome.ended == 0 for outcome in load.outcomes) <= 4


async def test_every_request_is_answered_when_their_number_is_given() -> None:
    async with server() as (base, counts), Generator(base) as generator:
        load = await generator.answered(3, lambda number: json_shot("/answer", {"n": number}), 10)
    assert counts.most == 3
    assert len(load.outcomes) == 10
    assert all(o.complete and load.start <= o.began < o.ended < load.end for o in load.outcomes)


async def test_an_open_loop_does_not_wait_for_answers() -> None:
    async with server() as (base, _), Generator(base) as generator:
        load = await generator.opened(200, lambda number: json_shot("/answer", {"n": number}), 0.2, seed=3)
    assert len(load.outcomes) == len(list(arrivals(200, 0.2, 3)))
    assert all(outcome.complete for outcome in load.outcomes)


def test_arrivals_have_the_rate_that_was_asked_for() -> None:
    moments = list(arrivals(50, 100, seed=1))
    assert moments == sorted(moments)
    assert 4700 < len(moments) < 5300
    assert moments == list(arrivals(50, 100, seed=1))


async def test_what_is_under_way_is_given_up_when_the_loop_is_cancelled() -> None:
    async with server() as (base, counts), Generator(base) as generator:
        task = asyncio.create_task(generator.closed(2, lambda _: json_shot("/answer", {}), 60))
        await counts.two.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()


async def test_a_form_arrives_as_its_fields_and_its_file() -> None:
    seen: dict[str, bytes] = {}

    async def take(request: web.Request) -> web.Response:
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            seen[part.name or ""] = bytes(await part.read())
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/form", take)])
    async with serving(app) as base, Generator(base) as generator:
        outcome = await generator.send(form_shot("/form", {"model": "m", "language": "en"}, b"RIFF\r\n--\x00"))
    assert outcome.status == 200
    assert seen == {"model": b"m", "language": b"en", "file": b"RIFF\r\n--\x00"}
