"""Reads the runtime's metrics and status."""

from typing import Any

import aiohttp

from tests.bench.runtime.servers import Server


async def scrape(server: Server) -> str:
    """Return the metrics in Prometheus' text format."""
    async with aiohttp.ClientSession() as session, session.get(server.admin + "/metrics") as answer:
        return await answer.text()


async def read_status(server: Server) -> Any:
    """Return what /status tells."""
    async with aiohttp.ClientSession() as session, session.get(server.admin + "/status") as answer:
        return await answer.json()


def summed(metrics: str, name: str) -> float:
    """Return the sum of a metric's values over all of its labels."""
    lines = (line.rsplit(" ", 1) for line in metrics.splitlines() if line.startswith((name + "{", name + " ")))
    return sum(float(value) for _, value in lines)
