"""The composition root: builds the parts, starts them in order, stops them in order.

Start: log in, answer on the health port, watch, list, work. The elector runs from the beginning, so that caches are
warm on every replica and a standby leads with its first look. Stop on SIGTERM: take no more work, let what is in
flight end, give the lease up, close. Everything else that ends ends the process: a replica that restarts is simpler
than one that repairs itself, and the other replica leads meanwhile.
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from modelservice_operator import __version__
from modelservice_operator.api.activator import SERVICE_NAME
from modelservice_operator.controller.activators import Activators
from modelservice_operator.controller.activity import Activity
from modelservice_operator.controller.intake import Intake
from modelservice_operator.controller.keys import Key
from modelservice_operator.controller.ports import Ports
from modelservice_operator.controller.reconcile import Reconciler
from modelservice_operator.controller.reports import RuntimeReports
from modelservice_operator.controller.usage import Usage
from modelservice_operator.domain import Facts
from modelservice_operator.engine.backoff import Backoff
from modelservice_operator.engine.cache import Cache
from modelservice_operator.engine.elector import Elector, Timing
from modelservice_operator.engine.gate import Gate
from modelservice_operator.engine.queue import WorkQueue
from modelservice_operator.engine.resync import Resync
from modelservice_operator.engine.workers import Workers
from modelservice_operator.kube.client import KubernetesApi, Login
from modelservice_operator.kube.endpoints import slices_of
from modelservice_operator.kube.errors import ApiError
from modelservice_operator.kube.lease import KubernetesLease
from modelservice_operator.kube.lister import Lister
from modelservice_operator.kube.optional import OptionalKind
from modelservice_operator.kube.resources import MODEL_SERVICE, RUNTIME_PROFILE, WATCHED, Resource
from modelservice_operator.kube.slices import Slices
from modelservice_operator.kube.watch import Watch, forgive_left_streams
from modelservice_operator.observability.health import LOOP_LAG_LIMIT, HealthServer, LoopWatch
from modelservice_operator.observability.metrics import Metrics
from modelservice_operator.observability.scrape import Scraper
from modelservice_operator.process import run_in_cluster
from modelservice_operator.settings import Settings

log = logging.getLogger(__name__)

DRAIN_SECONDS = 20.0
RECONCILE_DEADLINE = 60.0
FURTHER_LOOKS = (20.0, 60.0)
"""Seconds after the start at which everything is listed again.

While CRDs are being installed the API server replaces their storage, and a watch of the old one stays silent until it
is closed, within a minute.
"""


def serve(settings: Settings) -> int:
    """Run the operator until SIGTERM or SIGINT; return the exit status."""
    return run_in_cluster(settings.kubeconfig, settings.log_level, partial(_serve, settings))


async def _serve(settings: Settings, login: Login) -> int:
    stop = asyncio.Event()
    operator = Operator(settings, login)
    operator.catch_signals(stop)
    forgive_left_streams(asyncio.get_running_loop())
    try:
        return await operator.run(stop)
    finally:
        await operator.close()


class Operator:
    """All the parts and their wiring."""

    def __init__(self, settings: Settings, login: Login) -> None:
        self._settings = settings
        self._login = login
        self._stop: asyncio.Event | None = None
        self.metrics = Metrics()
        self.cache = Cache()
        self.gate = Gate(("leader", "synced", "serving"))
        self.gate.set("serving", True)
        self.api = KubernetesApi(login, self.metrics.requested)
        self._lease_api = KubernetesApi(login, self.metrics.requested)
        self.queue: WorkQueue[Key] = WorkQueue(metrics=self.metrics)
        self._scraper = Scraper()
        self.usage = Usage(self.metrics)
        self.metrics.before_render(self.usage.settle)
        self.intake = Intake(self.cache, self.queue, self.metrics.watched, self.usage)
        self._build_elector()
        self._build_watches()
        self._build_doormen()
        self._build_resync()
        self._build_workers()
        self._loop_watch = LoopWatch(self.metrics)
        self._health = HealthServer(
            self.metrics, self.cache.sizes, self._why_not_alive, self._why_not_ready, settings.listen_port
        )

    def catch_signals(self, stop: asyncio.Event) -> None:
        """Make SIGTERM and SIGINT set `stop`; called again whenever kopf has put its own handlers in place."""
        self._stop = stop
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)

    async def run(self, stop: asyncio.Event) -> int:
        """Start everything, wait for `stop` or for a failure, stop everything; return the exit status."""
        await self._health.start()
        log.info("Starting", extra={"version": __version__, "identity": self._settings.identity})
        tasks = self._start(
            ("loop", self._loop_watch.run()),
            ("elector", self.elector.run()),
            ("start", self._sync_then_watch()),
            ("workers", self.workers.run()),
        )
        stopping = asyncio.create_task(stop.wait(), name="stop")
        done, _ = await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in done if task is not stopping]
        for task in failed:
            log.critical("%s ended; the operator stops", task.get_name(), exc_info=_error_of(task))
        await self._shut_down({stopping, *tasks})
        return 1 if failed else 0

    async def close(self) -> None:
        """Close the connections and the health port."""
        await self._health.stop()
        await self.reports.close()
        await self.activity.close()
        await self._scraper.close()
        await self.api.close()
        await self._lease_api.close()

    def _build_elector(self) -> None:
        settings = self._settings
        timing = Timing(settings.lease_duration, settings.renew_deadline, settings.retry_period)
        store = KubernetesLease(self._lease_api, settings.namespace, settings.lease_name, timing.call_timeout)
        self.elector = Elector(store, settings.identity, timing, self._on_leadership)

    def _build_watches(self) -> None:
        core = [resource for resource in WATCHED if not resource.optional]
        self._core = core
        self._watch = self._watch_of(*core)
        self._optional = [
            OptionalKind(resource, self.api, self._watch_of(resource), self._fill, self._on_optional)
            for resource in WATCHED
            if resource.optional
        ]

    def _build_doormen(self) -> None:
        """The slices of the activator's Service, where there is one."""
        name, namespace = self._settings.activator_service, self._settings.namespace
        self._doormen = None
        if name:
            resource = slices_of(f"{SERVICE_NAME}={name}")
            self._doormen = Slices(self.api, resource, self._login.connection, (namespace,), self.intake.ask_for_all)

    def _watch_of(self, *resources: Resource) -> Watch:
        return Watch(resources, self._on_event, self._login.connection, self._settings.watch_namespaces)

    def _on_event(self, resource: Resource, type_: str, raw: dict[str, Any]) -> None:
        """Take an event of a watch; one that lists, at the start or after a gap, does not tell what was deleted."""
        self.intake.on_event(resource, type_, raw)
        if type_ == "LISTED":
            self.resync.ask_after_lists()

    def _build_resync(self) -> None:
        lister = Lister(self.api, self._settings.watch_namespaces, self.intake.record_of)
        self.resync = Resync(
            self.cache,
            self._kinds,
            lister.snapshot,
            self.intake.on_resync,
            self.metrics,
            self._settings.resync_seconds,
        )

    def _build_workers(self) -> None:
        self.reports = RuntimeReports(self.queue.add)
        self.activators = Activators(self._doormen.all if self._doormen else None, self._scraper)
        self.activity = Activity(self.queue.add, self._leads, self._scraper, self.activators.is_busy)
        settings = self._settings
        ports = Ports(self.cache, settings.activator_first_port, settings.activator_ports)
        self.reconciler = Reconciler(
            self.api, self.cache, self.intake, self.reports, self._facts, self._leads, self.activity, ports
        )
        self.workers = Workers(
            self.queue,
            self.reconciler.reconcile,
            self.gate,
            self.metrics,
            self._settings.workers,
            RECONCILE_DEADLINE,
        )

    def _facts(self) -> Facts:
        return Facts(
            optional_kinds=frozenset(kind.resource.kind for kind in self._optional if kind.served),
            default_runtime_image=self._settings.default_runtime_image,
            image_pull_policy=self._settings.image_pull_policy,
            operator_namespace=self._settings.namespace,
            prometheus_url=self._settings.prometheus_url,
            activator=self.activators.addresses(),
        )

    def _leads(self) -> bool:
        return self.elector.is_leader

    def _kinds(self) -> list[str]:
        served = [kind.resource.kind for kind in self._optional if kind.served]
        return [*(resource.kind for resource in self._core), *served]

    async def _sync_then_watch(self) -> None:
        """Wait for our CRDs, list every kind, open the gate, then watch for ever."""
        await self._await_definitions()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch.run_for_ever(self._recatch_signals, self._await_definitions), name="watch")
            for resource in self._core:
                await self._insist(f"{resource.kind} is listed", partial(self._fill, resource))
            for optional in self._optional:
                await self._insist(f"{optional.resource.kind} is looked for", optional.look)
                group.create_task(optional.run(self._recatch_signals), name=optional.resource.kind)
            if self._doormen is not None:
                await self._insist("the activator's pods are listed", self._doormen.fill)
                group.create_task(self._doormen.run(self._recatch_signals), name="activator")
            self.gate.set("synced", True)
            self.metrics.synced(True)
            log.info("Synced", extra={"cached": self.cache.sizes()})
            for seconds in FURTHER_LOOKS:
                asyncio.get_running_loop().call_later(seconds, self.resync.ask_to_list)
            group.create_task(self.resync.run(self.intake.ask_for_all), name="resync")

    async def _await_definitions(self) -> None:
        for resource in (MODEL_SERVICE, RUNTIME_PROFILE):
            await self._insist(f"{resource.kind} is served", partial(self._require, resource))

    async def _require(self, resource: Resource) -> None:
        if not await self.api.serves(resource):
            raise ApiError(0, f"the CRD of {resource.kind} is not installed")

    async def _insist(self, what: str, attempt: Callable[[], Awaitable[Any]]) -> None:
        """Repeat until it works: at the start the API server, its CRDs or our permissions may be late."""
        for delay in Backoff(base=1.0, cap=10.0, floor=0.5):
            try:
                await attempt()
                return
            except ApiError as error:
                log.warning("Waiting until %s: %s", what, error)
            await asyncio.sleep(delay)

    async def _fill(self, resource: Resource) -> None:
        await self.resync.list_kind(resource.kind)

    def _on_optional(self, resource: Resource, served: bool) -> None:
        if not served:
            self.cache.drop_kind(resource.kind)
        self.intake.ask_for_all()

    def _on_leadership(self, leads: bool) -> None:
        self.metrics.leads(leads)
        self.usage.lead(leads)
        self.gate.set("leader", leads)
        if leads:
            self.resync.ask()
        else:
            self.workers.interrupt()

    def _recatch_signals(self) -> None:
        if self._stop is not None:
            self.catch_signals(self._stop)

    def _start(self, *parts: tuple[str, Coroutine[Any, Any, None]]) -> set[asyncio.Task[None]]:
        return {asyncio.create_task(part, name=name) for name, part in parts}

    async def _shut_down(self, tasks: set[asyncio.Task[Any]]) -> None:
        log.info("Stopping")
        self.gate.set("serving", False)
        drained = await self.workers.drain(DRAIN_SECONDS)
        elector = next(task for task in tasks if task.get_name() == "elector")
        elector.cancel()
        await asyncio.wait({elector})
        await self.elector.release()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=3.0)
        log.info("Stopped", extra={"drained": drained})

    def _why_not_alive(self) -> str:
        if self._loop_watch.lag() > LOOP_LAG_LIMIT:
            return f"the event loop is {self._loop_watch.lag():.0f} s late"
        if self.workers.oldest() > 2 * RECONCILE_DEADLINE:
            return f"a reconcile has run for {self.workers.oldest():.0f} s"
        return ""

    def _why_not_ready(self) -> str:
        return "" if self.gate.holds("synced") else "the caches are not synced"


def _error_of(task: "asyncio.Task[Any]") -> BaseException | None:
    return None if task.cancelled() else task.exception()
