"""Waiting for the world to reach a state, with a deadline and no fixed sleeps."""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], bool], seconds: float = 5.0, pause: float = 0.01) -> None:
    """Wait until `condition` holds. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  (the state of the world has no event to wait for)
            await asyncio.sleep(pause)


async def until_async(condition: Callable[[], Awaitable[bool]], seconds: float = 5.0, pause: float = 0.05) -> None:
    """Wait until an awaited `condition` holds. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(pause)


def wait_until(condition: Callable[[], object], what: str, seconds: float = 10.0, pause: float = 0.05) -> None:
    """Wait, without an event loop, until `condition` returns something true.

    Raises AssertionError that names `what`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(pause)
