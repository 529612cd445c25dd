import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from starlette.types import Message

from modelservice_runtime.engine.scheduling import Cancelled, Done, Failed, Piece, Progress, Ticket
from modelservice_runtime.server import streaming
from modelservice_runtime.server.service import merge
from modelservice_runtime.server.streaming import COMMENT, EventStream

LATER = 60.0


def test_a_comment_is_sent_while_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "KEEP_ALIVE_SECONDS", 0.01)
    assert asyncio.run(_stream_until_comment()) == [b'data: {"text":"a"}\n\n', COMMENT, b'data: {"text":"b"}\n\n']


async def _stream_until_comment() -> list[bytes]:
    commented = asyncio.Event()
    sent: list[bytes] = []

    async def chunks() -> AsyncIterator[dict[str, Any]]:
        yield {"text": "a"}
        await commented.wait()
        yield {"text": "b"}

    async def send(message: Message) -> None:
        if message.get("body"):
            sent.append(message["body"])
        if sent[-1:] == [COMMENT]:
            commented.set()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("nobody leaves")

    stream = EventStream(chunks(), lambda: None, end=b"")
    async with asyncio.timeout(LATER):
        await stream({"type": "http"}, receive, send)
    first = sent.index(COMMENT)
    return [*sent[: first + 1], *(body for body in sent[first:] if body != COMMENT)]


def test_events_of_several_tickets_come_as_they_are_delivered() -> None:
    assert asyncio.run(_merge_two()) == [(0, "early"), (1, "x"), (0, "y"), (1, "end"), (0, "end")]


async def _merge_two() -> list[tuple[int, Any]]:
    first, second = Ticket(None, 1), Ticket(None, 1)
    first.deliver(Progress("early"))
    merged = merge([first, second], time.monotonic() + LATER)
    got = [await anext(merged)]
    for ticket, event in (
        (second, Progress("x")),
        (first, Progress("y")),
        (second, Done("end")),
        (first, Done("end")),
    ):
        ticket.deliver(event)
    return got + [pair async for pair in merged]


def test_the_failure_of_one_ticket_ends_all() -> None:
    with pytest.raises(ValueError, match="broken"):
        asyncio.run(_merge_failing())


async def _merge_failing() -> None:
    tickets = Ticket(None, 1), Ticket(None, 1)
    tickets[0].deliver(Progress(Piece("a")))
    tickets[1].deliver(Failed(ValueError("broken")))
    async for _ in merge(tickets, time.monotonic() + LATER):
        pass


def test_a_stream_is_cancelled_at_its_deadline_when_nothing_comes() -> None:
    with pytest.raises(Cancelled, match="timeout"):
        asyncio.run(_merge_silent())


async def _merge_silent() -> None:
    await anext(merge([Ticket(None, 1)], time.monotonic() + 0.01))


def test_what_is_delivered_after_a_redirection_goes_where_it_points() -> None:
    asyncio.run(_redirect())


async def _redirect() -> None:
    ticket = Ticket(None, 1)
    ticket.deliver(Progress("a"))
    got: list[Any] = []
    ticket.redirect(partial(list.append, got))
    ticket.deliver(Done("b"))
    assert got == [Progress("a"), Done("b")]
    assert ticket.ended_at is not None
