"""Refusals come at once, unless clients that ask again at once would take the processors from the others."""

import asyncio
import time

import pytest
from starlette.types import Message, Receive, Scope, Send

from modelservice_runtime.observability.metrics import Metrics
from modelservice_runtime.server.guard import Guard, GuardLimits
from modelservice_runtime.server.refusals import BURST, LONGEST_SECONDS, PER_ANSWER, PER_SECOND, RefusalPace


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def held(pace: RefusalPace, clock: Clock, per_second: float, seconds: float = 10.0) -> list[float]:
    """For how long each refusal is held that is asked for at a steady rate, whatever became of the others."""
    found = []
    for _ in range(int(per_second * seconds)):
        clock.now += 1 / per_second
        found.append(pace.hold_seconds())
    return found


def test_refusals_come_at_once_at_a_rate_that_costs_little() -> None:
    clock = Clock()
    assert set(held(RefusalPace(clock), clock, PER_SECOND * 0.99)) == {0.0}


def test_refusals_come_at_once_as_long_as_they_are_few_for_each_answer() -> None:
    clock = Clock()
    pace = RefusalPace(clock)
    for _ in range(1000):
        pace.answered()
        assert held(pace, clock, 2000.0, 0.001) == [0.0, 0.0]


def test_clients_that_ask_again_at_once_are_held_and_nobody_longer_than_a_bound() -> None:
    clock = Clock()
    found = held(RefusalPace(clock), clock, 3000.0)
    assert found[: int(BURST)] == [0.0] * int(BURST)
    assert max(found) == pytest.approx(LONGEST_SECONDS)
    assert found[-1] == pytest.approx(LONGEST_SECONDS, abs=0.02)


def test_what_is_saved_up_is_bounded_and_what_is_owed_is_forgotten_in_a_second() -> None:
    clock = Clock()
    pace = RefusalPace(clock)
    for _ in range(1000):
        pace.answered()
    found = held(pace, clock, 1e6, (BURST + PER_ANSWER) / 1e6)
    beyond = found[int(BURST) + 1 :]
    assert beyond
    assert min(beyond) > 0
    held(pace, clock, 1e6, 0.01)
    clock.now += LONGEST_SECONDS + 0.1
    assert pace.hold_seconds() == 0.0


async def test_guard_holds_refusals_beyond_what_is_saved_up_and_no_answer() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        status = 429 if scope["path"] == "/full" else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask(path: str) -> float:
        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            answered.append((path, message.get("status")))

        answered: list[tuple[str, int | None]] = []
        began = time.monotonic()
        await guard({"type": "http", "method": "POST", "path": path, "headers": []}, receive, send)
        assert answered[0] == (path, 429 if path == "/full" else 200)
        return time.monotonic() - began

    limits = GuardLimits(lambda: 1 << 20, 5.0, 10_000)
    guard = Guard(app, limits, Metrics("chat"), lambda: False)
    refused = await asyncio.gather(*(ask("/full") for _ in range(int(BURST + PER_SECOND / 2))))
    assert max(refused) > 0.45, "the last of those beyond the burst is held for half a second"
    assert await ask("/free") < max(refused)
