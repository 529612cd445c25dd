"""The metrics adapter as a process: log in, read whom to trust, serve, and look again from time to time.

Certificates, the API server's authority and the registration of the group may change under it; what is served is then
built anew. A cluster that has another provider of the group is left alone.
"""

import asyncio
import logging
import signal
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiohttp import web

from modelservice_operator import __version__
from modelservice_operator.kube.client import KubernetesApi, Login
from modelservice_operator.kube.errors import ApiError
from modelservice_operator.metrics_adapter.claim import find_other_provider
from modelservice_operator.metrics_adapter.server import make_app
from modelservice_operator.metrics_adapter.settings import AdapterSettings
from modelservice_operator.metrics_adapter.source import PodMetrics
from modelservice_operator.metrics_adapter.trust import FrontProxy, NoFrontProxy, read_front_proxy, server_context
from modelservice_operator.observability.health import HealthServer
from modelservice_operator.observability.metrics import Metrics
from modelservice_operator.process import run_in_cluster

log = logging.getLogger(__name__)

LOOK_SECONDS = 30.0
RETRY_SECONDS = 2.0
AGENT = "modelservice-metrics-adapter"


@dataclass(frozen=True)
class Material:
    """What TLS is made of: whom to trust, and the bytes of the own key pair."""

    proxy: FrontProxy
    pair: tuple[bytes, bytes]


def serve(settings: AdapterSettings) -> int:
    """Run until SIGTERM or SIGINT; return the exit status."""
    return run_in_cluster(settings.kubeconfig, settings.log_level, partial(_serve, settings))


async def _serve(settings: AdapterSettings, login: Login) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    adapter = Adapter(settings, login)
    try:
        await adapter.run(stop)
    finally:
        await adapter.close()
    return 0


class Adapter:
    """All the parts and their wiring."""

    def __init__(self, settings: AdapterSettings, login: Login) -> None:
        self._settings = settings
        self._metrics = Metrics()
        self._api = KubernetesApi(login, self._metrics.requested, agent=AGENT)
        self._source = PodMetrics(self._api)
        self._problem = "nothing is served yet"
        self._health = HealthServer(self._metrics, dict, str, lambda: self._problem, settings.listen_port)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`, with what is right at the time."""
        await self._health.start()
        log.info("Starting", extra={"version": __version__})
        while not stop.is_set():
            try:
                material = await self._read()
                await self._serve_with(material, stop)
            except (ApiError, NoFrontProxy, OSError, ValueError) as error:
                self._tell(f"{type(error).__name__}: {error}")
                await _pause(stop, RETRY_SECONDS)

    async def close(self) -> None:
        """Close the ports and the connections."""
        await self._health.stop()
        await self._source.close()
        await self._api.close()

    async def _read(self) -> Material:
        folder = self._settings.tls_folder
        pair = await asyncio.to_thread(_read_pair, folder)
        return Material(await read_front_proxy(self._api), pair)

    async def _serve_with(self, material: Material, stop: asyncio.Event) -> None:
        """Serve until `stop` or until the material has changed."""
        await self._look()
        context = server_context(material.proxy, self._settings.tls_folder)
        runner = web.AppRunner(make_app(self._source, material.proxy, lambda: self._problem), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, port=self._settings.port, ssl_context=context).start()
            while not stop.is_set():
                await _pause(stop, LOOK_SECONDS)
                if await self._has_changed(material):
                    return
        finally:
            await runner.cleanup()

    async def _has_changed(self, material: Material) -> bool:
        """Look at everything again; an API server that does not answer changes nothing."""
        try:
            await self._look()
            return await self._read() != material
        except (ApiError, NoFrontProxy, OSError, ValueError) as error:
            log.warning("Going on as before: %s: %s", type(error).__name__, error)
            return False

    async def _look(self) -> None:
        self._tell(await find_other_provider(self._api, self._settings.namespace, self._settings.service))

    def _tell(self, problem: str) -> None:
        if problem and problem != self._problem:
            log.error("Not serving: %s", problem)
        if not problem and self._problem:
            log.info("Serving")
        self._problem = problem


def _read_pair(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "tls.crt").read_bytes(), (folder / "tls.key").read_bytes()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
