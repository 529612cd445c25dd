"""When objects were seen to come, become ready and go: one watch stream a kind, timed on this process's clock.

Of children only the metadata is asked for: the client shares the cores with what it measures.
"""

import asyncio
import json
import ssl
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from modelservice_operator.kube.client import Connection
from modelservice_operator.kube.resources import Resource
from tests.bench.operator.subject import Subject
from tests.support.polling import until

METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
STREAM_SECONDS = 7200

Child = tuple[str, str]
"""Kind and name."""


def open_session(connection: Connection) -> aiohttp.ClientSession:
    """A session as the administrator, for streams and for patches."""
    tls = ssl.create_default_context(cafile=connection.ca_path)
    if connection.certificate_path:
        tls.load_cert_chain(connection.certificate_path, connection.private_key_path)
    connector = aiohttp.TCPConnector(ssl=tls, limit=0)
    return aiohttp.ClientSession(connection.server, connector=connector, timeout=aiohttp.ClientTimeout(total=None))


@dataclass
class Life:
    """What was seen of one object and its children: seconds of the monotonic clock, by kind for children."""

    children: dict[str, float] = field(default_factory=dict)
    ready: float | None = None


class Sightings:
    """Lives by the uid of the owner, and the current uid and time of every child by kind and name."""

    def __init__(self, session: aiohttp.ClientSession, subject: Subject, namespace: str) -> None:
        self._session = session
        self._subject = subject
        self._namespace = namespace
        self._tasks: list[asyncio.Task[None]] = []
        self.lives: defaultdict[str, Life] = defaultdict(Life)
        self.current: dict[Child, tuple[str, float]] = {}
        self.labels: dict[Child, Mapping[str, str]] = {}

    async def open(self, extra: Sequence[Resource] = ()) -> None:
        """Begin to watch; return when every stream is there."""
        resources = {each.kind: each for each in (self._subject.owner, *self._subject.children, *extra)}
        opened = [asyncio.Event() for _ in resources]
        for resource, event in zip(resources.values(), opened, strict=True):
            self._tasks.append(asyncio.create_task(self._watch(resource, event)))
        await asyncio.gather(*(event.wait() for event in opened))

    async def close(self) -> None:
        """End the streams."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def has_children(self, uid: str) -> bool:
        """Whether every kind of child of an object was seen."""
        return len(self.lives[uid].children) >= len(self._subject.children)

    def reached(self, since: float) -> tuple[int, int]:
        """How many objects had all their children since then, and how many said since then that they are ready."""
        complete = (life for uid, life in list(self.lives.items()) if self.has_children(uid))
        ready = (life.ready for life in self.lives.values() if life.ready is not None)
        return sum(max(life.children.values()) >= since for life in complete), sum(at >= since for at in ready)

    async def complete(self, uid: str, seconds: float = 60.0) -> float:
        """Wait for the last kind of child of an object; return when it was seen. Raises TimeoutError."""
        await self._until(lambda: self.has_children(uid), seconds, "children")
        return max(self.lives[uid].children.values())

    async def ready(self, uid: str, seconds: float = 60.0) -> float:
        """Wait until an object says that it is ready; return when. Raises TimeoutError."""
        await self._until(lambda: self.lives[uid].ready is not None, seconds, "the condition Ready")
        return self.lives[uid].ready or 0.0

    async def back(self, child: Child, uid: str, seconds: float = 60.0) -> float:
        """Wait until a child has another uid than this one; return when. Raises TimeoutError."""
        await self._until(lambda: self.current.get(child, (uid, 0.0))[0] != uid, seconds, f"{child} again")
        return self.current[child][1]

    async def _until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        for task in self._tasks:
            if task.done():
                task.result()
        try:
            await until(condition, seconds, pause=0.005)
        except TimeoutError:
            raise TimeoutError(f"{what}: not seen in {seconds:.0f} s") from None

    async def _watch(self, resource: Resource, opened: asyncio.Event) -> None:
        is_owner = resource.kind == self._subject.owner.kind
        path = f"{resource.path(self._namespace)}?watch=true&timeoutSeconds={STREAM_SECONDS}"
        async with await self._connect(path, "application/json" if is_owner else METADATA) as response:
            opened.set()
            async for line in response.content:
                at = time.monotonic()
                event = json.loads(line)
                if is_owner:
                    self._see_owner(event["object"], at)
                else:
                    self._see_child(resource.kind, event["type"], event["object"]["metadata"], at)
        raise RuntimeError(f"the stream of {resource.plural} ended")

    def _see_owner(self, body: Mapping[str, Any], at: float) -> None:
        conditions = (body.get("status") or {}).get("conditions") or ()
        life = self.lives[body["metadata"]["uid"]]
        if life.ready is None and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
            life.ready = at

    def _see_child(self, kind: str, type_: str, metadata: Mapping[str, Any], at: float) -> None:
        child, uid = (kind, metadata["name"]), metadata["uid"]
        self.labels[child] = metadata.get("labels") or {}
        if type_ != "ADDED":
            return
        self.current[child] = uid, at
        for owner in metadata.get("ownerReferences") or ():
            self.lives[owner["uid"]].children.setdefault(kind, at)

    async def _connect(self, path: str, accept: str) -> aiohttp.ClientResponse:
        """Open a stream; the storage of a kind that was just installed answers 429 for a moment."""
        while True:
            response = await self._session.get(path, headers={"Accept": accept}, read_bufsize=2**22)
            if response.status == 200:
                return response
            response.close()
            await asyncio.sleep(0.2)
