"""From a connection to an answer: the port says which service is meant, the hall when it is a request's turn."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from modelservice_operator.activator.directory import Directory, Service
from modelservice_operator.activator.forwarding import Broken, Unreachable, forward
from modelservice_operator.activator.hall import Hall, Refused
from modelservice_operator.activator.metrics import ActivatorMetrics

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request may wait, and when one that was refused may come again; in seconds."""

    hold_seconds: float
    retry_after_seconds: int


class Desk:
    """Answers requests."""

    def __init__(
        self,
        directory: Directory,
        hall: Hall,
        session: aiohttp.ClientSession,
        metrics: ActivatorMetrics,
        patience: Patience,
    ) -> None:
        self._directory = directory
        self._hall = hall
        self._session = session
        self._metrics = metrics
        self._patience = patience

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Hold the request until a pod is ready and give back what that answers, or refuse it with 503."""
        port = request.transport.get_extra_info("sockname")[1] if request.transport else 0
        service = self._directory.service_at(port)
        if service is None:
            return self._refusal(503, "no ModelService is known behind this address at the moment; ask again")
        try:
            return await self._serve(request, service)
        except Refused as refused:
            self._metrics.refused(service, refused.why)
            return self._refusal(503, str(refused))
        except Broken as broken:
            log.warning("A pod of %s ended before it answered: %s", service, broken)
            self._metrics.refused(service, "broken")
            return self._refusal(502, f"the pod of {service} ended before it answered; ask again")
        except (asyncio.CancelledError, ConnectionResetError):
            self._metrics.left(service)
            raise

    async def _serve(self, request: web.Request, service: Service) -> web.StreamResponse:
        came = time.monotonic()
        while True:
            async with self._hall.turn(service, came + self._patience.hold_seconds) as target:
                waited = time.monotonic() - came
                try:
                    response = await forward(request, target, self._session)
                except Unreachable as error:
                    log.info("A pod of %s cannot be reached yet: %s", service, error)
                    self._hall.shun(service, target)
                    continue
                self._metrics.waited(service, waited)
                self._metrics.forwarded(service)
                return response

    def _refusal(self, status: int, message: str) -> web.Response:
        kind = "service_unavailable" if status == 503 else "bad_gateway"
        error = {"message": message, "type": kind, "param": None, "code": None}
        headers = {"Retry-After": str(self._patience.retry_after_seconds)}
        response = web.json_response({"error": error}, status=status, headers=headers)
        response.force_close()
        return response


async def listen(desk: Desk, ports: Sequence[int]) -> web.AppRunner:
    """Answer on all ports. Raises OSError when one is taken.

    A client that leaves cancels its request.
    """
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", desk.answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=5.0)
    await runner.setup()
    for port in ports:
        await web.TCPSite(runner, port=port, backlog=1024).start()
    return runner
