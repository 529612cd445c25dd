"""All parts of the server and their order.

Order of the start: the admin port answers first, then the inference port, then torch is imported; where there is a
golden request, the server is ready once it is answered. Order of the end:
readiness is withdrawn at once; requests are still taken for a moment, because balancers learn of it late; then new ones
are refused and the accepted are finished within `lifecycle.drain_seconds`; what is left is cancelled.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.types import ASGIApp

from modelservice_runtime.config import Settings
from modelservice_runtime.engine.heap import give_back_free_memory
from modelservice_runtime.engine.library_pages import let_go_of_library_pages
from modelservice_runtime.engine.scheduling import Stats
from modelservice_runtime.engine.worker import Steps, TorchThread
from modelservice_runtime.errors import BadSettings, EngineFault, RuntimeFault
from modelservice_runtime.observability.metrics import Metrics
from modelservice_runtime.server.admin import AdminApp
from modelservice_runtime.server.connection import GuardedConnection
from modelservice_runtime.server.engine import prepare_engine, report_ready
from modelservice_runtime.server.golden import check_golden
from modelservice_runtime.server.lifecycle import Lifecycle, State
from modelservice_runtime.server.service import Service
from modelservice_runtime.server.status import describe_status

if TYPE_CHECKING:
    from modelservice_runtime.server.rpc import RpcServer

logger = logging.getLogger(__name__)

PROPAGATION_SECONDS = 3.0
PROPAGATION_SHARE = 0.1
STOP_SECONDS = 5.0
EVERYWHERE = ("0.0.0.0", "::")


class _Server(uvicorn.Server):
    """A uvicorn server that leaves the signals to the process and tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    def capture_signals(self) -> Any:
        """Leave the signals alone."""
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then tell."""
        await super().startup(sockets)
        self.listening.set()


class ServerProcess:
    """Owns all parts and their order. `run` is everything; `stop` is what a signal does.

    `announce` is told the address of the pages once they answer; `on_loaded` is called when the model is in memory, on
    the torch thread.
    """

    def __init__(
        self,
        settings: Settings,
        announce: Callable[[str], None] = lambda _: None,
        on_loaded: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._announce = announce
        self._on_loaded = on_loaded
        self._lifecycle = Lifecycle()
        self._metrics = Metrics(
            settings.served_name,
            aliases=settings.aliases,
            adapters=tuple(settings.adapters),
            vllm=settings.observability.metrics_compat == "vllm",
        )
        self.service = Service(settings, self._lifecycle, self._metrics)
        self._ended = asyncio.Event()
        self._hurry = asyncio.Event()
        self._fault: RuntimeFault | None = None
        self._rpc: RpcServer | None = None
        self._app: ASGIApp | None = None
        self._verifying: asyncio.Task[None] | None = None
        self._servers: list[tuple[_Server, asyncio.Task[None]]] = []

    async def run(self) -> None:
        """Start, serve until `stop` or a fault, and end in order. Raises RuntimeFault when it cannot go on."""
        loop = asyncio.get_running_loop()
        thread = TorchThread(
            lambda: self._prepare(loop, thread.wake), lambda: self._on_warm(loop), lambda e: self._on_fault(loop, e)
        )
        self.service.heartbeat_age = lambda: thread.heartbeat_age
        self._metrics.observe_live(self._stats, self.service.heartbeat_age)
        try:
            await self._start_admin()
            await self._start_inference()
            await self._start_rpc()
            thread.start()
            await self._ended.wait()
            await self._drain()
        finally:
            await self._stop(thread)
        if self._fault is not None:
            raise self._fault

    def stop(self, *, hurry: bool = False) -> None:
        """Ask for an orderly end; asked again, or in a hurry, running requests are cancelled. Event loop only."""
        if self._ended.is_set() or hurry:
            self._hurry.set()
        self._ended.set()

    # --- start ---

    async def _start_admin(self) -> None:
        app = AdminApp(
            self._lifecycle,
            self.service.heartbeat_age,
            self._settings.limits.hang_seconds,
            self._metrics.scrape,
            lambda: describe_status(self.service),
        )
        await self._listen(app, self._settings.server.admin_port, "server.admin_port")

    async def _start_inference(self) -> None:
        from modelservice_runtime.server.app import build_app  # noqa: PLC0415 - FastAPI is imported after the probes answer

        server = self._settings.server
        self._app = build_app(self.service)
        await self._listen(self._app, server.port, "server.port")
        if server.playground:
            host = "127.0.0.1" if server.host in EVERYWHERE else server.host
            self._announce(f"http://{host}:{server.port}")

    async def _start_rpc(self) -> None:
        if not self._settings.server.grpc_port:
            return
        from modelservice_runtime.server.rpc import RpcServer  # noqa: PLC0415 - gRPC is imported when it is wanted

        self._rpc = RpcServer(self.service)
        await self._rpc.start()

    async def _listen(self, app: ASGIApp, port: int, field: str) -> None:
        limits = self._settings.limits
        config = uvicorn.Config(
            app,
            http=GuardedConnection,
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=int(limits.keep_alive_seconds),
        )
        server = _Server(config)
        listener = _bind(self._settings.server.host, port, field)
        self._servers.append((server, asyncio.create_task(server.serve([listener]))))
        await server.listening.wait()
        logger.info("listening", extra={"host": self._settings.server.host, "port": port, "server": field})

    def _prepare(self, loop: asyncio.AbstractEventLoop, wake: Any) -> Steps:
        steps = prepare_engine(self.service, loop, wake)
        self._on_loaded()
        give_back_free_memory()
        let_go_of_library_pages()
        return steps

    def _on_warm(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take that the model is warm; called on the torch thread."""
        if self._settings.verification.path:
            self._lifecycle.enter(State.VERIFYING)
            loop.call_soon_threadsafe(self._verify, loop)
        else:
            self._on_ready()

    def _on_ready(self) -> None:
        self._lifecycle.enter(State.READY)
        if self._lifecycle.state is State.READY:  # else its end has begun meanwhile
            report_ready(self.service)

    def _verify(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to ask the golden request, unless the process ends already."""
        if not self._ended.is_set():
            self._verifying = asyncio.create_task(self._ask_golden(loop))

    async def _ask_golden(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._app is None:
            return
        try:
            await check_golden(self._app, self._settings.verification)
        except Exception as error:
            if not self._ended.is_set():
                self._on_fault(loop, error)
            return
        if not self._ended.is_set():
            self._on_ready()

    def _on_fault(self, loop: asyncio.AbstractEventLoop, error: BaseException) -> None:
        """Take what the process cannot go on with: what ended the torch thread, or a wrong answer. Any thread."""
        self._fault = fault = _as_fault(error)
        self._lifecycle.fail({"reason": str(fault.reason), "message": str(fault), "hint": fault.hint})
        self._metrics.ready.labels(self._metrics.model).set(0)
        loop.call_soon_threadsafe(self._ended.set)

    def _stats(self) -> Stats:
        return self.service.task.scheduler.stats() if self.service.task else Stats()

    # --- end ---

    async def _drain(self) -> None:
        """Finish what was accepted; see the module's text for the order."""
        if self._fault is not None or self.service.task is None:
            return
        self._lifecycle.enter(State.DRAINING)
        self._metrics.ready.labels(self._metrics.model).set(0)
        self._metrics.draining.labels(self._metrics.model).set(1)
        seconds = self._settings.lifecycle.drain_seconds
        propagation = min(PROPAGATION_SECONDS, seconds * PROPAGATION_SHARE)
        await self._pause(propagation)
        draining = asyncio.create_task(self.service.drain(max(0.0, seconds - propagation)))
        hurrying = asyncio.create_task(self._hurry.wait())
        await asyncio.wait({draining, hurrying}, return_when=asyncio.FIRST_COMPLETED)
        complete = await draining if draining.done() else await self.service.drain(0.0)
        for pending in (draining, hurrying):
            pending.cancel()
        logger.info("drained", extra={"complete": complete})

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            return

    async def _stop(self, thread: TorchThread) -> None:
        """Close the servers, letting answers in flight go out, and end the thread."""
        if self._verifying is not None:
            self._verifying.cancel()
        for server, _ in reversed(self._servers):
            server.should_exit = True
        if self._rpc is not None:
            await self._rpc.stop(STOP_SECONDS)
        tasks = [task for _, task in self._servers]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
        self.service.close()
        if thread.started and not await asyncio.to_thread(thread.stop, STOP_SECONDS):
            logger.warning("the torch thread did not end in time")


def _bind(host: str, port: int, field: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY by this number
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise BadSettings(
            f"{field}: cannot listen on {host}:{port}: {error.strerror}", hint="choose a free port"
        ) from None
    listener.listen(1024)
    listener.setblocking(False)
    return listener


def _as_fault(error: BaseException) -> RuntimeFault:
    if isinstance(error, RuntimeFault):
        return error
    logger.error("the engine failed", exc_info=error)
    fault = EngineFault(f"the engine failed: {type(error).__name__}: {error}")
    fault.__cause__ = error
    return fault
