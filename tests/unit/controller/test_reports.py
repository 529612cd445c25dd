import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from modelservice_operator.controller.keys import Key
from modelservice_operator.controller.reports import RuntimeReports
from tests.support.polling import until
from tests.support.ports import free_port

KEY = Key("team", "chat")


class Pod:
    """A runtime's admin port on this machine."""

    def __init__(self) -> None:
        self.port = free_port()
        self.asked = 0
        self.told: list[Key] = []
        self.reports = RuntimeReports(self.told.append, self.port)

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/status", self._status)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()

    async def _status(self, _: web.Request) -> web.StreamResponse:
        self.asked += 1
        return web.json_response({"state": "ready", "startup": {"loadSeconds": 2}})


@pytest.fixture
async def pod() -> AsyncIterator[Pod]:
    pod = Pod()
    yield pod
    await pod.reports.close()


async def test_report_is_read_once_when_a_pod_is_ready(pod: Pod) -> None:
    await pod.start()
    for _ in range(3):
        pod.reports.want(KEY, "uid-1", "127.0.0.1")
    assert pod.reports.is_pending("uid-1")
    await until(lambda: bool(pod.told))
    pod.reports.want(KEY, "uid-1", "127.0.0.1")
    await asyncio.sleep(0)
    assert pod.asked == 1
    assert pod.told == [KEY]
    assert (pod.reports.of("uid-1") or {})["startup"] == {"loadSeconds": 2}
    await pod.runner.cleanup()


async def test_nobody_waits_any_more_when_the_first_attempt_failed(pod: Pod) -> None:
    pod.reports.want(KEY, "uid-1", "127.0.0.1")
    await until(lambda: bool(pod.told))
    assert pod.reports.of("uid-1") is None
    assert not pod.reports.is_pending("uid-1")


async def test_nothing_is_asked_when_the_pod_has_no_address(pod: Pod) -> None:
    pod.reports.want(KEY, "uid-1", "")
    assert not pod.reports.is_pending("uid-1")
