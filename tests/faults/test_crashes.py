"""The operator is killed at every write that it makes, before the request and before its answer, and starts again.

The writes of a scenario are recorded without a fault; each of them, by what it is and how often it came, gives two
crash points. That the list below is complete is itself a test.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from modelservice_operator.kube.errors import Conflict, NotFound
from modelservice_operator.kube.resources import MODEL_SERVICE
from tests.faults.bench import FaultBench, Replica, World
from tests.faults.proxy import Ask, Fault, Rule, afterwards, instead
from tests.support.audit import describe
from tests.support.team import Body

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(400)]

FIRST = {
    "replicas": 1,
    "availability": {"minAvailable": 1},
    "network": {"service": {"port": 80}},
}
CHILDREN = ("ServiceAccount", "Deployment", "Service", "PodDisruptionBudget")
LATER = tuple(kind for kind in CHILDREN if kind != "PodDisruptionBudget")

CREATING = (
    "patch serviceaccounts",
    "patch deployments",
    "patch services",
    "patch poddisruptionbudgets",
    "patch modelservices/status",
)
CHANGING = (
    "patch deployments",
    "patch services",
    "delete poddisruptionbudgets",
    "patch modelservices/status",
)
FAULTS: dict[str, Callable[[Callable[[], object]], Fault]] = {"before": instead, "after": afterwards}


@dataclass(frozen=True)
class Point:
    """Kill at the `nth` write of this kind, before the API server gets it or after it has carried it out."""

    write: str
    nth: int
    when: str

    def __str__(self) -> str:
        return f"{self.when} {self.write} {self.nth}".replace(" ", "-").replace("/", "-")


def points() -> Iterator[Point]:
    """Every crash point of the scenario, in the order in which they are reached."""
    seen: Counter[str] = Counter()
    for write in (*CREATING, *CHANGING):
        seen[write] += 1
        for when in FAULTS:
            yield Point(write, seen[write], when)


def chosen() -> Iterator[object]:
    """All of them as parameters; two of three are tried by `make test-faults` alone."""
    for index, point in enumerate(points()):
        marks = () if index % 3 == 0 else (pytest.mark.thorough,)
        yield pytest.param(point, marks=marks, id=str(point))


async def create(bench: FaultBench) -> None:
    """The first half of the scenario."""
    await bench.team.create("chat", **FIRST)
    await bench.converge("chat", *CHILDREN)


async def change(bench: FaultBench) -> None:
    """The second half: some children change, one goes."""

    def edit(body: Body) -> None:
        body["spec"]["network"] = {"service": {"port": 8000}}
        body["spec"]["runtime"] = {"env": [{"name": "CHANGED", "value": "yes"}]}
        del body["spec"]["availability"]

    await bench.team.change(MODEL_SERVICE.kind, "chat", edit)
    await bench.converge("chat", *LATER)


@pytest.fixture
async def stage(bench: FaultBench) -> AsyncIterator[FaultBench]:
    """The bench in a namespace that all these tests have one after the other, so that even hashes are the same."""
    own, bench.team.namespace = bench.team.namespace, "crashes"
    with suppress(Conflict):
        await bench.team.open()
    yield bench
    await clear(bench)
    bench.team.namespace = own


async def clear(bench: FaultBench) -> None:
    """The service goes, and so do its children, without waiting for the garbage collector to learn of our kind."""
    with suppress(NotFound):
        await bench.team.remove(MODEL_SERVICE.kind, "chat")
    for replica in bench.replicas:
        replica.operator.close()
    for kind, name in await bench.team.children():
        if name.startswith("chat"):
            with suppress(NotFound):
                await bench.team.remove(kind, name)


_undisturbed: list[World] = []


async def undisturbed(bench: FaultBench) -> World:
    """The world that the scenario makes when nothing goes wrong; made once."""
    if not _undisturbed:
        replica = bench.lead()
        await create(bench)
        await change(bench)
        await bench.team.quiet(1.2)
        _undisturbed.append(await bench.world())
        assert replica.operator.terminate() == 0
        await clear(bench)
    return _undisturbed[0]


def crash(replica: Replica, point: Point) -> Rule:
    """Arm the proxy: the operator dies at the point, once."""

    def kill() -> None:
        assert replica.operator.process is not None
        replica.operator.process.kill()

    def matches(ask: Ask) -> bool:
        return ask.is_write and str(ask) == point.write

    return replica.proxy.add(matches, FAULTS[point.when](kill), skip=point.nth - 1, times=1)


async def survive(replica: Replica, step: Coroutine[Any, Any, None]) -> None:
    """Make a step of the scenario, and start the operator again whenever it is dead."""
    task = asyncio.create_task(step)
    while not task.done():
        assert replica.operator.process is not None
        if replica.operator.process.poll() is not None:
            replica.restart()
        await asyncio.sleep(0.02)
    await task


async def test_crash_points_are_all_the_writes_of_the_scenario(stage: FaultBench) -> None:
    stage.lead()
    await create(stage)
    await change(stage)
    await stage.team.quiet(1.2)
    written = Counter(line.split(" chat")[0].rstrip("/") for line in describe(stage.writes()))
    known = Counter((*CREATING, *CHANGING))
    assert set(written) == set(known)
    assert all(written[write] == count for write, count in known.items() if "status" not in write), written


@pytest.mark.parametrize("point", list(chosen()))
async def test_world_is_that_of_an_undisturbed_run_when_killed(stage: FaultBench, point: Point) -> None:
    wanted = await undisturbed(stage)
    replica = stage.lead()
    rule = crash(replica, point)
    await survive(replica, create(stage))
    await survive(replica, change(stage))
    assert len(rule.hits) == 1, f"the operator never came to {point}"
    await stage.expect_quiet()
    assert await stage.world() == wanted
    stage.expect_health([replica])
