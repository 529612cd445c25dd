"""Reads `/metrics` of pods and other small pages inside the cluster, each within seconds and a few megabytes."""

import asyncio
from typing import Final

import aiohttp

from modelservice_operator.api.contract import ADMIN_PORT, METRICS_PATH
from modelservice_operator.observability.exposition import Snapshot, read_snapshot

SCRAPE_SECONDS: Final = 2.0
MOST_BYTES: Final = 4 << 20
AT_ONCE: Final = 32

UNREADABLE: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError)
"""What a page raises that does not answer, or answers something else."""


class Scraper:
    """One pool of connections; belongs to the event loop on which its first page is read."""

    def __init__(self, port: int = ADMIN_PORT) -> None:
        self._port = port
        self._places = asyncio.Semaphore(AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def metrics(self, address: str, port: int = 0, path: str = METRICS_PATH) -> Snapshot:
        """What the pod at an IP address says, on its admin port unless another is given. Raises one of UNREADABLE."""
        return read_snapshot(await self.page(address, port or self._port, path))

    async def page(self, address: str, port: int, path: str) -> str:
        """The text of a page. Raises one of UNREADABLE."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SCRAPE_SECONDS), trust_env=False)
        url = f"http://{host_of(address)}:{port}{path}"
        async with self._places, self._session.get(url, allow_redirects=False, raise_for_status=True) as answer:
            body = await answer.content.read(MOST_BYTES)
            while len(body) < MOST_BYTES and (more := await answer.content.read(MOST_BYTES - len(body))):
                body += more
        return body.decode()


def host_of(address: str) -> str:
    """An IP address as a URL has it."""
    return f"[{address}]" if ":" in address else address
