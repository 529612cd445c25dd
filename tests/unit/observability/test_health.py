import aiohttp
import pytest

from modelservice_operator.observability.health import HealthServer, LoopWatch
from modelservice_operator.observability.metrics import Metrics
from tests.support.ports import free_port


@pytest.mark.parametrize(
    ("path", "alive", "ready", "status", "text"),
    [
        ("/healthz", "", "not synced", 200, "ok"),
        ("/healthz", "the loop is late", "", 503, "the loop is late"),
        ("/readyz", "", "", 200, "ok"),
        ("/readyz", "", "the caches are not synced", 503, "the caches are not synced"),
    ],
)
async def test_check_answers_with_its_problem_when_it_has_one(
    path: str, alive: str, ready: str, status: int, text: str
) -> None:
    port = free_port()
    server = HealthServer(Metrics(), dict, lambda: alive, lambda: ready, port)
    await server.start()
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        assert (answer.status, await answer.text()) == (status, text)
    await server.stop()


async def test_metrics_show_what_happened_when_asked() -> None:
    port, metrics = free_port(), Metrics()
    metrics.requested("apply", "Service", 200, 0.01)
    metrics.leads(True)
    server = HealthServer(metrics, lambda: {"Pod": 3}, str, str, port)
    await server.start()
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as answer:
        text = await answer.text()
    await server.stop()
    assert 'modelservice_operator_api_requests_total{code="200",kind="Service",verb="apply"} 1.0' in text
    assert 'modelservice_operator_cached_objects{kind="Pod"} 3.0' in text
    assert "modelservice_operator_leader 1.0" in text


def test_loop_is_on_time_when_it_was_just_watched() -> None:
    assert LoopWatch(Metrics()).lag() == 0.0
