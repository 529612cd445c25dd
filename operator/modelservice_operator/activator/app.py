"""The activator as a process: log in, watch EndpointSlices, listen on its ports, and end without losing a request.

On SIGTERM it says that it is not ready, goes on as before until the operator has led the services elsewhere and every
node knows, waits for what it holds, and only then ends.
"""

import asyncio
import json
import logging
import resource
import signal
from functools import partial
from typing import Final

from aiohttp import web

from modelservice_operator import __version__
from modelservice_operator.activator.alarm import Alarm
from modelservice_operator.activator.directory import Directory, Service
from modelservice_operator.activator.forwarding import make_session
from modelservice_operator.activator.hall import Bounds, Hall
from modelservice_operator.activator.metrics import ActivatorMetrics
from modelservice_operator.activator.server import Desk, Patience, listen
from modelservice_operator.activator.settings import ActivatorSettings
from modelservice_operator.api.activator import ACTIVITY_PATH
from modelservice_operator.api.kinds import DEPLOYMENT
from modelservice_operator.api.names import LABEL_NAME
from modelservice_operator.engine.backoff import Backoff
from modelservice_operator.kube.client import KubernetesApi, Login
from modelservice_operator.kube.endpoints import slices_of
from modelservice_operator.kube.errors import ApiError, Conflict
from modelservice_operator.kube.resources import OURS, child_resource
from modelservice_operator.kube.slices import Slices
from modelservice_operator.observability.health import HealthServer
from modelservice_operator.process import run_in_cluster

log = logging.getLogger(__name__)

AGENT: Final = "modelservice-activator"
LEAVING_SECONDS: Final = 10.0
"""How long new requests may still come after the pod has said that it ends."""


def serve(settings: ActivatorSettings) -> int:
    """Run until SIGTERM or SIGINT; return the exit status."""
    _raise_limit_of_files()
    return run_in_cluster(settings.kubeconfig, settings.log_level, partial(_serve, settings))


async def _serve(settings: ActivatorSettings, login: Login) -> int:
    activator = Activator(settings, login)
    try:
        return await activator.run()
    finally:
        await activator.close()


class Activator:
    """All the parts and their wiring."""

    def __init__(self, settings: ActivatorSettings, login: Login) -> None:
        self._settings = settings
        self._stop = asyncio.Event()
        self._problem = "the EndpointSlices are not known yet"
        self._api = KubernetesApi(login, agent=AGENT)
        self._directory = Directory()
        self._alarm = Alarm(self._wake, lambda service: self._hall.held(service) > 0)
        bounds = Bounds(settings.max_held, settings.max_held_in_all, settings.at_once)
        self._hall = Hall(self._directory, self._alarm.ring, bounds)
        self._metrics = ActivatorMetrics(self._hall.busy)
        self._slices = Slices(
            self._api,
            slices_of(f"{OURS},{LABEL_NAME}"),
            login.connection,
            settings.watch_namespaces,
            self._on_change,
        )
        self._session = make_session()
        self._health = HealthServer(
            self._metrics, dict, str, lambda: self._problem, settings.listen_port, {ACTIVITY_PATH: self._activity}
        )

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT, or until the watch fails; return the exit status."""
        self._catch_signals()
        await self._health.start()
        log.info("Starting", extra={"version": __version__})
        runner = await self._listen()
        await self._fill()
        watch = asyncio.create_task(self._slices.run(self._catch_signals), name="watch")
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        self._problem = "" if not self._stop.is_set() else "ending"
        await asyncio.wait({watch, stopping}, return_when=asyncio.FIRST_COMPLETED)
        failed = watch.done()
        if failed:
            log.critical("The watch ended; the activator stops", exc_info=watch.exception())
        await self._leave(runner)
        watch.cancel()
        return 1 if failed else 0

    async def close(self) -> None:
        """Close the ports and the connections."""
        await self._alarm.stop()
        await self._health.stop()
        await self._session.close()
        await self._api.close()

    def _catch_signals(self) -> None:
        """Also called when kopf has put its own handlers in place."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)

    async def _listen(self) -> web.AppRunner:
        settings = self._settings
        patience = Patience(settings.hold_seconds, settings.retry_after_seconds)
        desk = Desk(self._directory, self._hall, self._session, self._metrics, patience)
        return await listen(desk, range(settings.first_port, settings.first_port + settings.ports))

    async def _fill(self) -> None:
        """List the slices; the API server may be late."""
        for delay in Backoff(base=1.0, cap=10.0, floor=0.5):
            try:
                await self._slices.fill()
                return
            except ApiError as error:
                log.warning("Waiting until EndpointSlices are listed: %s", error)
            if self._stop.is_set():
                return
            await asyncio.sleep(delay)

    def _on_change(self) -> None:
        for service in self._directory.update(self._slices.all()):
            self._hall.advance(service)

    async def _wake(self, service: Service) -> bool:
        """Ask for one pod if there is none; the autoscaler goes on from there."""
        try:
            woken = await self._api.scale_from_zero(child_resource(DEPLOYMENT), service.namespace, service.name)
        except Conflict:
            return False
        if woken:
            self._metrics.woke(service)
        return woken

    async def _leave(self, runner: web.AppRunner) -> None:
        self._problem = "ending"
        log.info("Stopping")
        await asyncio.sleep(LEAVING_SECONDS)
        try:
            async with asyncio.timeout(self._settings.hold_seconds):
                await self._hall.emptied()
        except TimeoutError:
            log.warning("Requests are turned away, which have waited too long: %s", self._activity())
        self._hall.end()
        await runner.cleanup()

    def _activity(self) -> str:
        """For the operator: requests by service, only of services that have some."""
        busy = self._hall.busy().items()
        return json.dumps({str(name): {"held": held, "forwarding": under_way} for name, (held, under_way) in busy})


def _raise_limit_of_files() -> None:
    """Each port and each request is a file, and the usual soft limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
