"""No pod while no requests come, and a hundred requests at once from zero, on a real node through the real Service."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from tests.e2e.world import World, eventually
from tests.quickstart import services
from tests.quickstart.images import model_image

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]

SCALING = {"minReplicas": 0, "maxReplicas": 2, "idle": {"scaleToZeroAfterSeconds": 5}}
AT_ONCE = 100


async def _ask(client: httpx.AsyncClient, url: str, number: int) -> tuple[int, int, float]:
    """Status, length of the vector, and the seconds that it took."""
    began = time.monotonic()
    body = {"model": "sleepy", "input": f"a quiet evening, number {number}"}
    answer = await client.post(f"{url}/v1/embeddings", json=body)
    vector = answer.json()["data"][0]["embedding"] if answer.status_code == 200 else []
    return answer.status_code, len(vector), time.monotonic() - began


async def _ask_all(url: str, number: int = AT_ONCE) -> list[tuple[int, int, float]]:
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(timeout=240, limits=limits, trust_env=False) as client:
        return await asyncio.gather(*(_ask(client, url, each) for each in range(number)))


def _is_idle(service: dict[str, Any]) -> bool:
    return services.condition(service, "Idle").get("status") == "True"


def _door(world: World) -> list[Any]:
    return world.get("endpointslice", "sleepy-activator")["endpoints"] or []


def test_hundred_requests_at_once_are_answered_from_zero(world: World) -> None:
    world.serve("sleepy", f"oci://{model_image('demo-embed')}", autoscaling=SCALING)
    world.ready("sleepy", 240)
    services.wait_for(world.cluster, world.namespace, "sleepy", _is_idle, 120)
    eventually(lambda: not world.items("pods", "modelservice.dev/name=sleepy"), 120, "the end of the last pod")
    assert len(_door(world)) == 2, "both replicas of the activator hold requests"

    url = world.address("sleepy")
    answers = asyncio.run(_ask_all(url))
    assert {(status, length) for status, length, _ in answers} == {(200, 384)}
    seconds = sorted(took for *_, took in answers)
    print(f"from zero: {AT_ONCE} answers after {seconds[0]:.1f} to {seconds[-1]:.1f} s")

    eventually(lambda: _door(world) == [], 60, "a Service that leads to the pod alone")
    assert [status for status, *_ in asyncio.run(_ask_all(url, 1))] == [200]
