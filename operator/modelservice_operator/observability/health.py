"""The operator's HTTP server: `/metrics`, `/healthz`, `/readyz`.

Alive means that the event loop is not stuck and no reconcile has run for far longer than its deadline: a restart
would help. Ready means that every cache was listed; it does not depend on leadership, since a standby replica is as
ready as the leader.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from aiohttp import web

from modelservice_operator.observability.metrics import Metrics

Page = Callable[[], str]

LOOP_LAG_LIMIT = 5.0
TICK = 0.5


class Shown(Protocol):
    """What `/metrics` shows."""

    def render(self, cached: Callable[[], Mapping[str, int]]) -> bytes:
        """Return the exposition text, with the sizes of the cache as of now."""


class LoopWatch:
    """Measures by how much the event loop is late."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._ticked = time.monotonic()

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            self._metrics.lagged(self.lag())
            self._ticked = time.monotonic()

    def lag(self) -> float:
        """Seconds by which the last tick is overdue."""
        return max(0.0, time.monotonic() - self._ticked - TICK)


class HealthServer:
    """Serves the three paths, and `pages` of JSON; the checks return a reason to be unhealthy, or an empty text."""

    def __init__(
        self,
        metrics: Shown,
        cached: Callable[[], Mapping[str, int]],
        alive: Callable[[], str],
        ready: Callable[[], str],
        port: int,
        pages: Mapping[str, Page] | None = None,
    ) -> None:
        self._metrics = metrics
        self._cached = cached
        self._alive = alive
        self._ready = ready
        self._port = port
        self._pages = pages or {}
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on every address. Raises OSError when the port is taken."""
        app = web.Application()
        app.router.add_get("/metrics", self._show_metrics)
        app.router.add_get("/healthz", self._show_alive)
        app.router.add_get("/readyz", self._show_ready)
        for path, page in self._pages.items():
            app.router.add_get(path, _shown(page))
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, port=self._port).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _show_metrics(self, _: web.Request) -> web.Response:
        body = self._metrics.render(self._cached)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _show_alive(self, _: web.Request) -> web.Response:
        return _answer(self._alive())

    async def _show_ready(self, _: web.Request) -> web.Response:
        return _answer(self._ready())


def _shown(page: Page) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def show(_: web.Request) -> web.Response:
        return web.Response(text=page(), content_type="application/json")

    return show


def _answer(problem: str) -> web.Response:
    return web.Response(text=problem or "ok", status=503 if problem else 200)
