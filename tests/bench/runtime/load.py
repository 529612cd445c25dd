"""The load generator: closed loops of clients and open loops of arrivals, timed on this process's clock.

A closed loop keeps N requests under way, as N clients do that ask again as soon as they are answered; an open loop
sends at random moments of a given rate, answered or not, as the world does. Streams are read event by event. What
happened is recorded as it is; figures are computed elsewhere.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

JSON = "application/json"
BOUNDARY = b"between-the-parts-of-a-form"
DONE = b"[DONE]"
FAILED = 0
"""Status of a request that got no answer."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One request: where to, with what; a client with `leave_after` hangs up after so many events."""

    path: str
    body: bytes
    stream: bool = False
    content_type: str = JSON
    leave_after: int | None = None


@dataclass(slots=True)
class Outcome:
    """What became of a request. Times are monotonic seconds; `events` are those that held text."""

    began: float
    ended: float = 0.0
    status: int = FAILED
    events: list[float] = field(default_factory=list)
    tokens: int | None = None
    left: bool = False

    @property
    def complete(self) -> bool:
        """Whether the request was answered in full."""
        return self.status == 200 and self.ended > 0 and not self.left


@dataclass(frozen=True, slots=True)
class Load:
    """All requests of a loop, and the window, after the warm-up, in which throughput is counted."""

    outcomes: list[Outcome]
    start: float
    end: float


Make = Callable[[int], Shot]
"""Makes the n-th request."""


def json_shot(path: str, body: dict[str, Any], *, leave_after: int | None = None) -> Shot:
    """Make a request of a JSON body."""
    return Shot(path, json.dumps(body).encode(), stream=bool(body.get("stream")), leave_after=leave_after)


def form_shot(path: str, fields: dict[str, str], file: bytes) -> Shot:
    """Make a request of a multipart form with a file, as OpenAI's endpoints for sound take it."""
    texts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    head = b'Content-Disposition: form-data; name="file"; filename="sound.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    parts = b"".join(b"--" + BOUNDARY + b"\r\n" + part + b"\r\n" for part in (*texts, head + file))
    return Shot(
        path, parts + b"--" + BOUNDARY + b"--\r\n", content_type=f"multipart/form-data; boundary={BOUNDARY.decode()}"
    )


class Generator:
    """Sends requests to one server. Use as an asynchronous context manager."""

    def __init__(self, base: str, *, timeout: float = 120.0) -> None:
        self._base = base
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    async def __aenter__(self) -> "Generator":
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send(self, shot: Shot, outcome: Outcome | None = None) -> Outcome:
        """Send one request and read its answer to the end; a failed connection is an outcome with status 0."""
        outcome = outcome or Outcome(time.monotonic())
        headers = {"content-type": shot.content_type}
        try:
            async with self._session.post(self._base + shot.path, data=shot.body, headers=headers) as answer:
                if shot.stream and answer.status == 200:
                    await _read_events(answer, shot, outcome)
                else:
                    await answer.read()
                outcome.status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            outcome.status = FAILED
        outcome.ended = time.monotonic()
        return outcome

    async def ask(self, path: str, body: dict[str, Any]) -> Any:
        """Send a JSON body and return the decoded answer. Raises aiohttp.ClientError when it is refused."""
        async with self._session.post(self._base + path, json=body) as answer:
            if answer.status != 200:
                raise aiohttp.ClientError(f"{path} answered {answer.status}: {(await answer.text())[:300]}")
            return await answer.json()

    async def closed(self, clients: int, make: Make, seconds: float, warm: float = 0.0) -> Load:
        """Keep `clients` requests under way for `warm` + `seconds`; what is unanswered then is given up."""
        outcomes: list[Outcome] = []
        numbers = _count()
        start = time.monotonic() + warm

        async def client() -> None:
            while True:
                outcome = Outcome(time.monotonic())
                outcomes.append(outcome)
                await self.send(make(next(numbers)), outcome)
                if outcome.status == FAILED:
                    await asyncio.sleep(0.05)

        await _run_until([asyncio.create_task(client()) for _ in range(clients)], start + seconds)
        return Load(outcomes, start, start + seconds)

    async def answered(self, clients: int, make: Make, count: int) -> Load:
        """Send `count` requests, `clients` of them at a time, and wait for every answer, however long that takes.

        So a slow machine gives a figure as well, and nothing that was begun is left out of it.
        """
        outcomes: list[Outcome] = []
        numbers = iter(range(count))
        start = time.monotonic()

        async def client() -> None:
            for number in numbers:
                outcomes.append(Outcome(time.monotonic()))
                await self.send(make(number), outcomes[-1])

        tasks = [asyncio.create_task(client()) for _ in range(clients)]
        try:
            await asyncio.gather(*tasks)
        finally:
            await _cancel(tasks)
        return Load(outcomes, start, time.monotonic())

    async def opened(
        self, rate: float, make: Make, seconds: float, *, seed: int = 0, patience: float = 10.0, warm: float = 0.0
    ) -> Load:
        """Send `rate` requests a second on average for `warm` + `seconds`, at random; wait `patience` for answers."""
        outcomes: list[Outcome] = []
        tasks: list[asyncio.Task[Outcome]] = []
        start = time.monotonic()
        for number, moment in enumerate(arrivals(rate, warm + seconds, seed)):
            await asyncio.sleep(max(0.0, start + moment - time.monotonic()))
            outcomes.append(Outcome(time.monotonic()))
            tasks.append(asyncio.create_task(self.send(make(number), outcomes[-1])))
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=patience)
            await _cancel(late)
        return Load(outcomes, start + warm, start + warm + seconds)


def arrivals(rate: float, seconds: float, seed: int) -> Iterator[float]:
    """Yield the moments of a Poisson process, in seconds from its start."""
    rng = random.Random(seed)
    moment = rng.expovariate(rate)
    while moment < seconds:
        yield moment
        moment += rng.expovariate(rate)


async def _read_events(answer: aiohttp.ClientResponse, shot: Shot, outcome: Outcome) -> None:
    async for line in answer.content:
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == DONE:
            continue
        event = json.loads(data)
        if _has_text(event):
            outcome.events.append(time.monotonic())
        if event.get("usage"):
            outcome.tokens = event["usage"].get("completion_tokens")
        if shot.leave_after is not None and len(outcome.events) >= shot.leave_after:
            outcome.left = True
            answer.close()
            return


def _has_text(event: dict[str, Any]) -> bool:
    choices = event.get("choices") or [{}]
    return bool((choices[0].get("delta") or {}).get("content") or choices[0].get("text"))


def _count() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


async def _run_until(tasks: list[asyncio.Task[None]], end: float) -> None:
    try:
        await asyncio.sleep(max(0.0, end - time.monotonic()))
        for task in tasks:
            if task.done():
                task.result()
    finally:
        await _cancel(tasks)


async def _cancel(tasks: Any) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
