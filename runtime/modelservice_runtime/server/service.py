"""From a parsed request to the results of its items: the one path that all endpoints take.

Preparing (tokenising) runs on a small pool of threads, computing on the torch thread; the event loop only waits. While
it waits it listens for the client: one that leaves, of a stream or of a unary call alike, frees its slot within one
step, and so does a request that exceeds its time.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from modelservice_runtime.config import Settings
from modelservice_runtime.engine.scheduling import Cancelled, Done, Event, Failed, Ticket
from modelservice_runtime.media.fetch import MOST_AT_ONCE
from modelservice_runtime.models.folder import ModelFolder
from modelservice_runtime.observability.journey import current_caller, note_tickets
from modelservice_runtime.observability.metrics import Metrics
from modelservice_runtime.observability.tracing import open_tracer
from modelservice_runtime.protocols.instances import is_slow, read_instances, write_results
from modelservice_runtime.server.errors import ApiError
from modelservice_runtime.server.guard import MODEL_KEY, OWN_KEY
from modelservice_runtime.server.keys import open_keys
from modelservice_runtime.server.lifecycle import Lifecycle
from modelservice_runtime.tasks.base import LoadedTask, TaskInfo
from modelservice_runtime.tasks.explaining import ExplainedTask, ExplainOptions, ExplainRequest, Explanation
from modelservice_runtime.tasks.inputs import InvalidInput, Item

T = TypeVar("T")
POOL_THREADS = 2


class Caller(Protocol):
    """Who waits for an answer: a Starlette request, or what stands for one in another protocol.

    `scope` takes notes for the metrics; `receive` returns `http.disconnect` when the client has left.
    """

    @property
    def scope(self) -> MutableMapping[str, Any]:
        """Return the notes about the request."""

    @property
    def receive(self) -> Callable[[], Awaitable[MutableMapping[str, Any]]]:
        """Return what waits for the next message of the client."""


@dataclass(frozen=True, slots=True)
class Submission:
    """The items of one request and their tickets, in the same order."""

    items: Sequence[Item]
    tickets: Sequence[Ticket]

    @property
    def prompt_cost(self) -> int:
        """Sum of the costs."""
        return sum(item.cost for item in self.items)


class Service:
    """What the endpoints use. `task` is set once the model is loaded."""

    def __init__(self, settings: Settings, lifecycle: Lifecycle, metrics: Metrics) -> None:
        self.settings = settings
        self.lifecycle = lifecycle
        self.metrics = metrics
        self.started_at = int(time.time())
        self.folder: ModelFolder | None = None
        self.info: TaskInfo | None = None
        self.task: LoadedTask | None = None
        self.quantization: str = settings.engine.quantization
        self.tracer = open_tracer(settings.observability.otlp_endpoint)
        self.keys = open_keys(settings.security.api_key_file)
        self.heartbeat_age: Callable[[], float] = lambda: 0.0
        self.explained: ExplainedTask | None = None
        self.adapted: Mapping[str, LoadedTask] = {}
        fetchers = MOST_AT_ONCE if settings.media.allowed_hosts else 0  # so that waiting for a URL delays nobody else
        self._pool = ThreadPoolExecutor(POOL_THREADS + fetchers, thread_name_prefix="prepare")

    @property
    def reads_media(self) -> bool:
        """Whether requests may hold images or sound."""
        return self.info is not None and self.info.media

    async def infer(
        self, request: Caller, model: str, instances: Sequence[Any], parameters: Mapping[str, Any]
    ) -> list[Any]:
        """Run whatever task is served on JSON instances; return one JSON value for each.

        Raises ApiError, InvalidInstances, and what `submit` and `attend` raise.
        """
        task, info = self.require(request, model)
        limit = self.settings.limits.max_inputs
        if len(instances) > limit:
            raise InvalidInput("instances", f"at most {limit} are taken in one request, not {len(instances)}")
        parsed, known = read_instances(info.reads, info.gives, instances, parameters)
        submission = await self.submit(task, parsed)
        results = await self.attend(request, task, submission, self.results(submission))
        began = time.monotonic()
        found = task.finish(parsed, submission.items, results)
        if is_slow(info.gives):
            loop = asyncio.get_running_loop()
            written = await loop.run_in_executor(self._pool, write_results, info.gives, found, known)
        else:
            written = write_results(info.gives, found, known)
        self.metrics.stage("postprocess", time.monotonic() - began)
        return written

    async def explain(
        self, request: Caller, model: str, instances: Sequence[Any], options: ExplainOptions
    ) -> list[Explanation]:
        """Tell why the model answers each of the instances as it does.

        Raises ApiError (400 when the task cannot tell), InvalidInstances, and what `submit` and `attend` raise.
        """
        _, info = self.require(request, model)
        if self.explained is None:
            raise ApiError(
                400, f"this server cannot explain models for {info.name}; it explains those that give labels",
                code="not_explainable", param="model", rejected="invalid",
            )  # fmt: skip
        parsed, _ = read_instances(info.reads, info.gives, instances, {})
        asked = ExplainRequest(parsed, options)
        submission = await self.submit(self.explained, asked)
        results = await self.attend(request, self.explained, submission, self.results(submission))
        return self.explained.finish(asked, submission.items, results)

    async def drain(self, seconds: float) -> bool:
        """Take no new work and wait for the accepted. False when time ran out and the rest was cancelled."""
        tasks = [task for task in (self.task, self.explained) if task is not None]
        return all(await asyncio.gather(*(task.scheduler.drain(seconds) for task in tasks)))

    def require(self, request: Caller, model: str, tasks: Sequence[str] = ()) -> tuple[LoadedTask, TaskInfo]:
        """Return the task when it is ready and is one of `tasks` (any, without). Raises ApiError 503, 404 or 400."""
        request.scope[MODEL_KEY] = model
        served = self.settings.served_name
        if not self.serves(model):
            raise ApiError(
                404, f"there is no model {model[:80]!r} here; this server serves {served!r}",
                code="model_not_found", param="model", rejected="invalid",
            )  # fmt: skip
        waits = self.lifecycle.is_starting and OWN_KEY not in request.scope
        if self.task is None or self.info is None or waits:
            raise ApiError(
                503, f"the model is not ready yet ({self.lifecycle.state}); try again shortly",
                code="not_ready", rejected="not_ready",
            )  # fmt: skip
        if tasks and self.info.name not in tasks:
            raise ApiError(
                400,
                f"{served!r} serves {self.info.name}, not {tasks[0]}; "
                f"use {self.info.endpoint.format(name=served)}",
                code="wrong_task", param="model", rejected="invalid",
            )  # fmt: skip
        return self.adapted.get(model, self.task), self.info

    def serves(self, model: str) -> bool:
        """Tell whether a name is the model's, another of its names, or an adapter's."""
        settings = self.settings
        return model == settings.served_name or model in settings.aliases or model in settings.adapters

    async def submit(self, task: LoadedTask, request: Any) -> Submission:
        """Prepare a request and queue its items, all or none. Raises InvalidInput, QueueFull or Draining.

        A full queue refuses at once: preparing what is then refused would take the processors from what is computed.
        """
        task.scheduler.check_room()
        began = time.monotonic()
        items = await asyncio.get_running_loop().run_in_executor(self._pool, task.prepare, request)
        self.metrics.stage("decode_input" if self.reads_media else "tokenize", time.monotonic() - began)
        limit = self.settings.limits.max_inputs
        if len(items) > limit:
            raise InvalidInput("input", f"at most {limit} inputs are taken in one request, not {len(items)}")
        tickets: list[Ticket] = []
        try:
            for turn, item in enumerate(items):
                tickets.append(task.scheduler.submit(item.value, item.cost, current_caller(), turn))
        except Exception:
            self.cancel(task, tickets, "disconnect")
            raise
        note_tickets(tickets)
        return Submission(items, tickets)

    def cancel(self, task: LoadedTask, tickets: Sequence[Ticket], reason: str) -> None:
        """Cancel tickets; those that are done already do not mind."""
        for ticket in tickets:
            task.scheduler.cancel(ticket, reason)

    async def attend(self, request: Caller, task: LoadedTask, submission: Submission, work: Awaitable[T]) -> T:
        """Wait for `work` while the client stays and the time lasts; else cancel the tickets and raise Cancelled."""
        working = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(_left(request))
        seconds = self.settings.limits.request_seconds
        try:
            done, _ = await asyncio.wait({working, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if working in done:
                return working.result()
            raise Cancelled("disconnect" if done else "timeout")
        except (Cancelled, asyncio.CancelledError) as error:
            self.cancel(task, submission.tickets, error.reason if isinstance(error, Cancelled) else "disconnect")
            raise
        finally:
            working.cancel()
            leaving.cancel()

    async def results(self, submission: Submission) -> list[Any]:
        """Wait for the results of all tickets. Raises what the first failing one of them raises."""
        return [await ticket.result() for ticket in submission.tickets]  # a task for each would cost more than it waits

    def close(self) -> None:
        """Stop the pool, and send the last traces."""
        self.tracer.close()
        self._pool.shutdown(wait=False, cancel_futures=True)


async def _left(request: Caller) -> None:
    """Return when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def merge(tickets: Sequence[Ticket], deadline: float) -> AsyncIterator[tuple[int, Any]]:
    """Yield (index, value) of all tickets as they come, until each is done.

    Raises Cancelled("timeout") at `deadline` (monotonic), or what a ticket raises.
    """
    queue: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
    for index, ticket in enumerate(tickets):
        ticket.redirect(partial(_put, queue, index))
    loop = asyncio.get_running_loop()
    late = Failed(Cancelled("timeout"))
    timer = loop.call_at(loop.time() + deadline - time.monotonic(), _put, queue, 0, late)
    missing = len(tickets)
    try:
        while missing:
            index, event = await queue.get()
            if isinstance(event, Failed):
                raise event.error
            missing -= isinstance(event, Done)
            yield index, event.value
    finally:
        timer.cancel()


def _put(queue: asyncio.Queue[tuple[int, Event]], index: int, event: Event) -> None:
    queue.put_nowait((index, event))
