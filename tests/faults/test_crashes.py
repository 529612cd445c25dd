"""The operator is killed at every write that it makes, before the request and before its answer, and starts again.

The writes of a scenario of two steps are recorded without a fault; each of them gives two crash points. That the list
below is complete is itself a test. `make test` reaches every third point, all in one run, so that the operator dies
half a dozen times on its way; `make test-faults` also reaches each point in a run of its own.
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
    """Kill at the first write of this kind in a step, before the API server gets it or after it has carried it out."""

    step: str
    write: str
    when: str

    def __str__(self) -> str:
        return f"{self.step} {self.when} {self.write}".replace(" ", "-").replace("/", "-")


def points() -> Iterator[Point]:
    """Every crash point of the scenario, in the order in which they are reached."""
    for step, writes in (("creating", CREATING), ("changing", CHANGING)):
        for write in writes:
            for when in FAULTS:
                yield Point(step, write, when)


def runs() -> Iterator[object]:
    """The points of each run, as parameters."""
    yield pytest.param([*points()][::3], id="at-every-third-point")
    for point in points():
        yield pytest.param([point], marks=pytest.mark.thorough, id=str(point))


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


_undisturbed: list[tuple[World, Counter[str]]] = []


async def undisturbed(bench: FaultBench) -> tuple[World, Counter[str]]:
    """The world that the scenario makes when nothing goes wrong, and the writes that make it; made once."""
    if not _undisturbed:
        replica = bench.lead()
        await create(bench)
        await change(bench)
        await bench.team.quiet(1.2)
        written = Counter(line.split(" chat")[0].rstrip("/") for line in describe(bench.writes()))
        _undisturbed.append((await bench.world(), written))
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

    return replica.proxy.add(matches, FAULTS[point.when](kill), times=1)


async def survive(replica: Replica, step: Coroutine[Any, Any, None]) -> None:
    """Make a step of the scenario, and start the operator again whenever it is dead."""
    task = asyncio.create_task(step)
    while not task.done():
        restart_if_dead(replica)
        await asyncio.sleep(0.02)
    await task


def restart_if_dead(replica: Replica) -> None:
    """Start the operator again when it has ended; its last write may be the one at which it was killed."""
    assert replica.operator.process is not None
    if replica.operator.process.poll() is not None:
        replica.restart()


async def test_crash_points_are_all_the_writes_of_the_scenario(stage: FaultBench) -> None:
    _, written = await undisturbed(stage)
    known = Counter((*CREATING, *CHANGING))
    assert set(written) == set(known)
    assert all(written[write] == count for write, count in known.items() if "status" not in write), written


@pytest.mark.parametrize("reached", list(runs()))
async def test_world_is_that_of_an_undisturbed_run_when_killed(stage: FaultBench, reached: list[Point]) -> None:
    wanted, _ = await undisturbed(stage)
    replica = stage.lead()
    rules = {}
    for name, step in (("creating", create), ("changing", change)):
        rules |= {point: crash(replica, point) for point in reached if point.step == name}
        await survive(replica, step(stage))
    await stage.team.quiet(1.2)
    assert [str(point) for point, rule in rules.items() if len(rule.hits) != 1] == [], "never came to these points"
    restart_if_dead(replica)
    await stage.expect_quiet()
    assert await stage.world() == wanted
    stage.expect_health([replica])
