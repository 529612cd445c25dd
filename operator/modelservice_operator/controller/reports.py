"""What the runtime says about itself: `/status` of the admin port, read once for each pod that became ready.

The read happens in the background and its failure is no one's failure: the status then shows no start-up times. A
report is cached by the pod's uid, since how a pod started does not change.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import aiohttp

from modelservice_operator.api.contract import ADMIN_PORT
from modelservice_operator.controller.keys import Key

log = logging.getLogger(__name__)

TIMEOUT = 1.0
ATTEMPTS = 3
PAUSE = 2.0
AT_ONCE = 16
LARGEST = 64 * 1024
REMEMBERED = 10_000


class RuntimeReports:
    """Reports by pod uid.

    `on_report` is called with the key of the ModelService whenever a report arrived or was given up.
    """

    def __init__(self, on_report: Callable[[Key], None], port: int = ADMIN_PORT) -> None:
        self._on_report = on_report
        self._port = port
        self._reports: dict[str, dict[str, Any] | None] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    def of(self, uid: str) -> dict[str, Any] | None:
        """The report of a pod, if there is one."""
        return self._reports.get(uid)

    def is_pending(self, uid: str) -> bool:
        """Whether the first attempt to read a pod's report has not ended yet."""
        return uid in self._tasks and uid not in self._reports

    def want(self, key: Key, uid: str, ip: str) -> None:
        """Read the report of a ready pod in the background, unless that was done or is being done."""
        if uid in self._reports or uid in self._tasks or not ip:
            return
        self._tasks[uid] = asyncio.create_task(self._fetch(key, uid, ip), name=f"report-{uid}")
        self._tasks[uid].add_done_callback(lambda _: self._tasks.pop(uid, None))

    async def close(self) -> None:
        """Stop reading."""
        for task in list(self._tasks.values()):
            task.cancel()
        if self._session is not None:
            await self._session.close()

    async def _fetch(self, key: Key, uid: str, ip: str) -> None:
        for attempt in range(ATTEMPTS):
            report = await self._read(ip)
            if report is not None or attempt == 0:
                self._remember(uid, report)
                self._on_report(key)
            if report is not None:
                return
            await asyncio.sleep(PAUSE * (attempt + 1))

    async def _read(self, ip: str) -> dict[str, Any] | None:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT))
        host = f"[{ip}]" if ":" in ip else ip
        try:
            async with self._at_once, self._session.get(f"http://{host}:{self._port}/status") as response:
                text = await response.content.read(LARGEST)
                report = json.loads(text) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.debug("No report from %s: %s", host, error)
            return None
        return report if isinstance(report, dict) else None

    def _remember(self, uid: str, report: dict[str, Any] | None) -> None:
        self._reports[uid] = report
        while len(self._reports) > REMEMBERED:
            del self._reports[next(iter(self._reports))]
