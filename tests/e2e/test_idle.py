"""No pod while no requests come, and a hundred requests at once from zero, on a real node through the real Service."""

import asyncio
import json
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


def _question(number: int) -> dict[str, Any]:
    message = {"role": "user", "content": f"What is {number} plus one?"}
    # One in ten is a stream of events.
    return {"model": "sleepy", "messages": [message], "max_tokens": 4, "stream": number % 10 == 0}


async def _ask(client: httpx.AsyncClient, url: str, number: int) -> tuple[int, str, float]:
    """Status, last line of the answer, and the seconds that it took."""
    began = time.monotonic()
    answer = await client.post(f"{url}/v1/chat/completions", json=_question(number))
    return answer.status_code, answer.text.strip().splitlines()[-1], time.monotonic() - began


async def _ask_all(url: str) -> list[tuple[int, str, float]]:
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(timeout=120, limits=limits, trust_env=False) as client:
        return await asyncio.gather(*(_ask(client, url, number) for number in range(AT_ONCE)))


def _is_idle(service: dict[str, Any]) -> bool:
    return services.condition(service, "Idle").get("status") == "True"


def _door(world: World) -> list[Any]:
    return world.get("endpointslice", "sleepy-activator")["endpoints"] or []


def test_hundred_requests_at_once_are_answered_from_zero(world: World) -> None:
    world.serve("sleepy", f"oci://{model_image('demo-chat')}", autoscaling=SCALING)
    world.ready("sleepy", 240)
    services.wait_for(world.cluster, world.namespace, "sleepy", _is_idle, 60)
    eventually(lambda: not world.items("pods", "modelservice.dev/name=sleepy"), 90, "the end of the last pod")
    assert len(_door(world)) == 2, "both replicas of the activator hold requests"

    url = f"http://{world.get('service', 'sleepy')['spec']['clusterIP']}"
    answers = asyncio.run(_ask_all(url))
    assert {status for status, _, _ in answers} == {200}
    for number, (_, last, _) in enumerate(answers):
        assert last == "data: [DONE]" if number % 10 == 0 else json.loads(last)["choices"][0]["message"]
    print(f"from zero: the first of {AT_ONCE} answers after {min(took for *_, took in answers):.1f} s, "
          f"the last after {max(took for *_, took in answers):.1f} s")  # fmt: skip

    world.ready("sleepy", 240)
    eventually(lambda: _door(world) == [], 30, "a Service that leads to the pod alone")
    assert httpx.post(f"{url}/v1/chat/completions", json=_question(1), timeout=60).headers.get("connection") != "close"
