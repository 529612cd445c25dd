"""Watch streams by kopf, and nothing else of kopf.

kopf is an excellent watcher: it reconnects, resumes, detects half-open connections by bookmarks and relists on 410.
Its high-level handlers are not used: they patch the objects that they watch, react to edges rather than to state, and
never see drift of children. So every handler here is `on.event`: project, hand over, return.

What the settings below guard against, each of them seen to happen with stock settings:

* the copy of every body into an annotation and the deep copies made for it (null storages);
* the end of the process when the API server is away for longer than the stock retries (endless backoff);
* a watch that hangs for ever (inactivity, server and client timeouts);
* a pause imposed by some peering object in the cluster (standalone);
* SIGKILL of the whole process some time after a watcher was stopped (no ultimate timeout);
* a memory of every object that was ever seen, for handlers that this operator does not have (no memories).

kopf's own supervision cancels every task of the loop when it ends, and its scanning of CRDs downloads all of them.
Therefore the tasks are spawned and supervised here, with scanning off, one set for the kinds that always exist and
one for each optional kind, so that a CRD that disappears ends one watcher and not the operator.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import kopf
from kopf._cogs.clients.errors import APIError
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from modelservice_operator.engine.backoff import Backoff
from modelservice_operator.kube.api import PAGE
from modelservice_operator.kube.client import Connection
from modelservice_operator.kube.resources import Resource

log = logging.getLogger(__name__)

RawObject = dict[str, Any]
OnEvent = Callable[[Resource, str, RawObject], None]
"""Gets resource, event type (`LISTED`, `ADDED`, `MODIFIED`, `DELETED`) and raw object, which it must not keep."""


class _NoDiffBase(kopf.DiffBaseStorage):  # type: ignore[misc]
    """kopf keeps a copy of each body to compute differences for handlers that this operator does not have."""

    def build(self, *, body: Any, extra_fields: Any = None) -> Any:
        return {}

    def fetch(self, *, body: Any) -> Any:
        return None

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):  # type: ignore[misc]
    """kopf keeps the progress of handlers that this operator does not have."""

    def fetch(self, *, key: Any, body: Any) -> Any:
        return None

    def store(self, *, key: Any, record: Any, body: Any, patch: Any) -> None:
        return None

    def purge(self, *, key: Any, body: Any, patch: Any) -> None:
        return None

    def touch(self, *, body: Any, patch: Any, value: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


class _NoMemories(ResourceMemories):  # type: ignore[misc]
    """kopf keeps a memory of each object, 2 KB, for handlers that this operator does not have."""

    async def recall(self, raw_body: Any, **_: Any) -> ResourceMemory:
        return ResourceMemory()

    async def forget(self, raw_body: Any) -> None:
        return None


def _settings(resources: Sequence[Resource]) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    settings.persistence.finalizer = "modelservice.dev/unused"
    settings.queueing.idle_timeout = 0.2
    settings.queueing.exit_timeout = 0.5
    settings.queueing.error_delays = (1, 2, 5, 10, 30)
    settings.networking.error_backoffs = Backoff(base=1.0, cap=30.0, floor=0.5)
    settings.networking.request_timeout = 30.0
    settings.networking.connect_timeout = 5.0
    settings.watching.server_timeout = random.randint(240, 300)  # noqa: S311
    settings.watching.client_timeout = settings.watching.server_timeout + 30
    settings.watching.inactivity_timeout = 70.0
    settings.watching.chunk_size = PAGE
    settings.scanning.disabled = True
    settings.process.ultimate_exiting_timeout = None
    for resource in resources:
        if resource.selector:
            settings.watching.label_selectors[resource.group, resource.version, resource.plural] = resource.selector
    return settings


def forgive_left_streams(loop: asyncio.AbstractEventLoop) -> None:
    """Do not report what was refused to a stream that kopf left behind: the watch has told it and begun anew.

    Whatever else a task ends with and nobody asks for is reported as always.
    """

    def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        is_left = "future" in context and isinstance(context.get("exception"), APIError)
        if is_left:
            log.debug("A stream that was left behind had been refused: %s", context["exception"])
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(report)


class Watch:
    """Streams of the events of some kinds, cluster-wide or in the given namespaces."""

    def __init__(
        self,
        resources: Sequence[Resource],
        on_event: OnEvent,
        login: Callable[[], Awaitable[Connection]],
        namespaces: Sequence[str] = (),
    ) -> None:
        self._resources = tuple(resources)
        self._on_event = on_event
        self._login = login
        self._namespaces = tuple(namespaces)

    async def run_for_ever(self, on_spawned: Callable[[], None], served: Callable[[], Awaitable[None]]) -> None:
        """Stream until cancelled, and anew when the API server refuses a stream: kopf takes 404 and 410 for the end.

        `served` waits until all kinds are served, since kopf leaves out those that are not. What was missed meanwhile
        is listed by the new streams. Raises every other error that ends a stream.
        """
        for delay in Backoff(base=1.0, cap=15.0, floor=0.5):
            try:
                await self.run(on_spawned)
            except APIError as error:
                log.warning("A watch was refused (%s), so all begin anew in %.1f s: %s", error.status, delay, error)
            await asyncio.sleep(delay)
            await served()

    async def run(self, on_spawned: Callable[[], None]) -> None:
        """Stream until cancelled; raise the error of the first task that ends.

        `on_spawned` is called once kopf has put its own signal handlers in place, so that the caller can put back its
        own.
        """
        tasks = await kopf.spawn_tasks(
            registry=self._registry(),
            settings=_settings(self._resources),
            memories=_NoMemories(),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            identity="unused",
        )
        on_spawned()
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=5.0)
        for task in done:
            task.result()
        kinds = ", ".join(resource.kind for resource in self._resources)
        raise RuntimeError(f"the watch of {kinds} ended without an error")

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry, id="login")(self._connect)
        for resource in self._resources:
            handler = self._handler(resource)
            kopf.on.event(resource.group, resource.version, resource.plural, registry=registry, id="observe")(handler)
        return registry

    def _handler(self, resource: Resource) -> Callable[..., Awaitable[None]]:
        async def observe(event: Any, **_: Any) -> None:
            self._on_event(resource, event["type"] or "LISTED", event["object"])

        return observe

    async def _connect(self, **_: Any) -> kopf.ConnectionInfo:
        connection = await self._login()
        return kopf.ConnectionInfo(
            server=connection.server,
            ca_path=connection.ca_path,
            certificate_path=connection.certificate_path,
            private_key_path=connection.private_key_path,
            scheme="Bearer" if connection.token else None,
            token=connection.token,
            insecure=connection.insecure,
            proxy_url=connection.proxy_url,
        )
