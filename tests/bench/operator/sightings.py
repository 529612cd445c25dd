"""When objects were seen to come, change and go: one watch stream per kind, timed on this process's clock."""

import asyncio
import json
import ssl
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from modelservice_operator.kube.client import Connection
from modelservice_operator.kube.resources import Resource


@dataclass(frozen=True, slots=True)
class Sighting:
    """One watch event, at `at` seconds of the monotonic clock."""

    at: float
    type: str
    uid: str
    body: dict[str, Any]


class Sightings:
    """The events of some kinds in one namespace, by kind and name."""

    def __init__(self, connection: Connection, resources: Sequence[Resource], namespace: str) -> None:
        self._connection = connection
        self._resources = resources
        self._namespace = namespace
        self._seen: defaultdict[tuple[str, str], list[Sighting]] = defaultdict(list)
        self._changed = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Begin to watch; return when every stream is there."""
        tls = ssl.create_default_context(cafile=self._connection.ca_path)
        if self._connection.certificate_path:
            tls.load_cert_chain(self._connection.certificate_path, self._connection.private_key_path)
        connector = aiohttp.TCPConnector(ssl=tls, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        opened = [asyncio.Event() for _ in self._resources]
        for resource, event in zip(self._resources, opened, strict=True):
            self._tasks.append(asyncio.create_task(self._watch(resource, event)))
        await asyncio.gather(*(event.wait() for event in opened))

    async def close(self) -> None:
        """End the streams."""
        for task in self._tasks:
            task.cancel()
        if self._session is not None:
            await self._session.close()

    async def first(
        self, kind: str, name: str, wanted: Callable[[Sighting], bool], since: float, seconds: float = 60.0
    ) -> Sighting:
        """Wait for the first event of an object after `since` that is as wanted. Raises TimeoutError, naming it."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                while True:
                    for sighting in self._seen[(kind, name)]:
                        if sighting.at >= since and wanted(sighting):
                            return sighting
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"{kind} {name} was not seen in {seconds:.0f} s") from None

    async def _watch(self, resource: Resource, opened: asyncio.Event) -> None:
        assert self._session is not None
        url = f"{self._connection.server}{resource.path(self._namespace)}?watch=true"
        async with await self._connect(self._session, url) as response:
            opened.set()
            async for line in response.content:
                at = time.monotonic()
                event = json.loads(line)
                metadata = event["object"]["metadata"]
                sighting = Sighting(at, event["type"], metadata["uid"], event["object"])
                async with self._changed:
                    self._seen[(resource.kind, metadata["name"])].append(sighting)
                    self._changed.notify_all()

    @staticmethod
    async def _connect(session: aiohttp.ClientSession, url: str) -> aiohttp.ClientResponse:
        """Open a stream; the storage of a kind that was just installed answers 429 for a moment."""
        while True:
            response = await session.get(url, read_bufsize=2**22)
            if response.status == 200:
                return response
            response.close()
            await asyncio.sleep(0.2)
