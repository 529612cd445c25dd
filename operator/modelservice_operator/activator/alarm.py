"""Starts a pod of every service that somebody waits for, and goes on until one is there or nobody waits any more."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from modelservice_operator.activator.directory import Service
from modelservice_operator.kube.errors import ApiError

log = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 2.0
"""Somebody may scale to zero again meanwhile, and the API server may be away."""


class Alarm:
    """`wake` scales a service from zero and says whether it was there; `is_needed`, whether somebody still waits."""

    def __init__(self, wake: Callable[[Service], Awaitable[bool]], is_needed: Callable[[Service], bool]) -> None:
        self._wake = wake
        self._is_needed = is_needed
        self._ringing: dict[Service, asyncio.Task[None]] = {}

    def ring(self, service: Service) -> None:
        """Somebody waits for a service."""
        if service not in self._ringing:
            self._ringing[service] = asyncio.create_task(self._run(service), name=f"alarm-{service}")

    async def stop(self) -> None:
        """Wake nobody any more."""
        for task in list(self._ringing.values()):
            task.cancel()

    async def _run(self, service: Service) -> None:
        try:
            while self._is_needed(service):
                await self._try(service)
                await asyncio.sleep(AGAIN_SECONDS)
        finally:
            del self._ringing[service]

    async def _try(self, service: Service) -> None:
        try:
            if await self._wake(service):
                log.info("Somebody waits for %s, which had no pod: one is started", service)
        except ApiError as error:
            log.warning("%s cannot be scaled from zero, next attempt in %.0f s: %s", service, AGAIN_SECONDS, error)
