"""Measure the operator on a control plane of its own: `python -m tests.bench.operator [--quick]`.

Prints medians and spread, and writes them to build/bench/operator-ground.json. Times are those of the watch events
that a client sees, from the moment before it sent its request. Counts come from the API server's audit log.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelservice_operator.kube.client import KubernetesApi, Login
from modelservice_operator.kube.resources import BY_KIND
from tests.bench.operator.sightings import Sighting, Sightings
from tests.cluster import Cluster
from tests.support.clusters import temporary
from tests.support.operators import ROOT, Operators, install_crds
from tests.support.team import EVERYTHING, Team

REPORT = ROOT / "build" / "bench" / "operator-ground.json"
BASIC = ("ServiceAccount", "Deployment", "Service")
CHILDREN = (*BASIC, "HorizontalPodAutoscaler", "PodDisruptionBudget", "ServiceMonitor")

SETTLE = 12.0
"""Seconds after which every status that may wait for more has been written."""

Figures = dict[str, Any]


def spread(seconds: Sequence[float]) -> Figures:
    """Median, 95th percentile, least and most, in milliseconds."""
    ordered = sorted(value * 1000 for value in seconds)
    return {
        "n": len(ordered),
        "p50_ms": round(statistics.median(ordered), 1),
        "p95_ms": round(ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))], 1),
        "min_ms": round(ordered[0], 1),
        "max_ms": round(ordered[-1], 1),
    }


class Bench:
    """One cluster, one namespace, one or two operators, and the measurements on them."""

    def __init__(self, operators: Operators, team: Team, sightings: Sightings, quick: bool) -> None:
        self._operators = operators
        self._team = team
        self._sightings = sightings
        self._quick = quick

    async def run(self) -> Figures:
        """Make every measurement in order."""
        figures: Figures = {}
        leader = self._operators.start_leader()
        figures["memory_empty_mib"] = leader.memory()[0]
        steps = (
            ("apply_to_children", self.single_creates),
            ("writes_per_create", self.writes_per_create),
            ("repair", self.repairs),
            ("burst", self.burst),
            ("idle", self.idle),
            ("restart", self.restart),
            ("failover", self.failover),
        )
        for name, step in steps:
            started = time.monotonic()
            figures[name] = await step()
            print(f"{name}: {json.dumps(figures[name])}   ({time.monotonic() - started:.0f} s)", flush=True)
        return figures

    async def single_creates(self) -> Figures:
        """From the request to the last child's event, one ModelService at a time."""
        took = []
        for index in range(5 if self._quick else 20):
            took.append(await self._create(f"single-{index}"))
            await asyncio.sleep(0.3)
        return spread(took)

    async def writes_per_create(self) -> Figures:
        """Successful writes of the operator for one ModelService, until nothing changes any more."""
        repeat = range(1 if self._quick else 3)
        return {
            f"{len(BASIC)} children": [await self._count_writes(f"plain-{i}") for i in repeat],
            f"{len(CHILDREN)} children": [await self._count_writes(f"full-{i}", **EVERYTHING) for i in repeat],
        }

    async def repairs(self) -> Figures:
        """From the request that deletes a child, or edits it, to the event that shows it repaired."""
        figures = {}
        for kind in CHILDREN:
            took = [await self._delete_child(kind) for _ in range(2 if self._quick else 5)]
            figures[f"deleted {kind}"] = spread(took)
        took = [await self._edit_service() for _ in range(2 if self._quick else 5)]
        return {**figures, "edited Service": spread(took)}

    async def burst(self) -> Figures:
        """A hundred ModelServices created at once."""
        count = 20 if self._quick else 100
        since = time.monotonic()
        names = [f"burst-{index}" for index in range(count)]
        await asyncio.gather(*(self._team.create(name, **EVERYTHING) for name in names))
        created = time.monotonic() - since
        seen = await asyncio.gather(*(self._children_of(name, since) for name in names))
        resident, highest = self._operators.started[0].memory()
        return {
            "count": count,
            "all_created_s": round(created, 2),
            "all_children_s": round(max(seen) - since, 2),
            "median_children_s": round(statistics.median(seen) - since, 2),
            "memory_mib": round(resident, 1),
            "memory_highest_mib": round(highest, 1),
        }

    async def idle(self) -> Figures:
        """Writes of the operator while nothing happens."""
        await asyncio.sleep(2.5 * SETTLE)
        self._operators.audit.mark()
        seconds = 10 if self._quick else 60
        await asyncio.sleep(seconds)
        resident, highest = self._operators.started[0].memory()
        return {
            "seconds": seconds,
            "writes": len(self._operators.audit.writes()),
            "memory_mib": round(resident, 1),
            "memory_highest_mib": round(highest, 1),
        }

    async def restart(self) -> Figures:
        """Writes of an operator that starts over everything that exists."""
        self._operators.started[0].terminate()
        self._operators.audit.mark()
        started = time.monotonic()
        again = self._operators.start_leader()
        leading = time.monotonic() - started
        looked = 'modelservice_operator_reconciles_total{result="InSync"}'
        count = await self._count()
        again.wait(lambda: again.metric(looked) >= count, "everything was looked at", 60)
        return {
            "objects": count,
            "leading_s": round(leading, 2),
            "done_s": round(time.monotonic() - started, 2),
            "writes": len(self._operators.audit.writes()),
            "memory_mib": round(again.memory()[0], 1),
        }

    async def failover(self) -> Figures:
        """From killing the leader to another one leading, and the writes meanwhile."""
        took, graceful = [], []
        self._operators.audit.mark()
        for _ in range(1 if self._quick else 3):
            took.append(await self._hand_over(lambda leader: leader.kill()))
            graceful.append(await self._hand_over(lambda leader: leader.terminate()))
        return {
            "killed": spread(took),
            "terminated": spread(graceful),
            "writes": len(self._operators.audit.writes()),
        }

    async def _hand_over(self, end: Any) -> float:
        leader = self._operators.started[-1]
        standby = self._operators.start()
        await asyncio.sleep(2.5)
        since = time.monotonic()
        end(leader)
        standby.wait(standby.leads, "the standby leads", 30)
        return time.monotonic() - since

    async def _count_writes(self, name: str, **spec: Any) -> int:
        self._operators.audit.mark()
        await self._team.create(name, **spec)
        await asyncio.sleep(SETTLE)
        written = [event["objectRef"].get("name", "") for event in self._operators.audit.writes()]
        return sum(target.startswith(name) for target in written)

    async def _create(self, name: str) -> float:
        since = time.monotonic()
        await self._team.create(name, **EVERYTHING)
        return await self._children_of(name, since) - since

    async def _children_of(self, name: str, since: float) -> float:
        """When the last child of a ModelService was first seen."""
        seen = await asyncio.gather(*(self._sightings.first(kind, name, _added, since, 30) for kind in CHILDREN))
        return max(sighting.at for sighting in seen)

    async def _delete_child(self, kind: str) -> float:
        name = "single-0"
        since = time.monotonic()
        uid = await self._team.remove(kind, name)
        back = await self._sightings.first(kind, name, lambda s: s.type == "ADDED" and s.uid != uid, since)
        await asyncio.sleep(0.3)
        return back.at - since

    async def _edit_service(self) -> float:
        since = time.monotonic()
        await self._team.change("Service", "single-0", lambda body: body["spec"].update(selector={"wrong": "pods"}))
        wrong = await self._sightings.first("Service", "single-0", lambda s: not _right(s), since)
        right = await self._sightings.first("Service", "single-0", _right, wrong.at)
        await asyncio.sleep(0.3)
        return right.at - wrong.at

    async def _count(self) -> int:
        pages = [page async for page in self._team.api.list_pages(BY_KIND["ModelService"], self._team.namespace)]
        return sum(len(page.items) for page in pages)


def _added(sighting: Sighting) -> bool:
    return sighting.type == "ADDED"


def _right(sighting: Sighting) -> bool:
    return "modelservice.dev/name" in (sighting.body["spec"].get("selector") or {})


async def measure(cluster: Cluster, folder: Path, quick: bool) -> Figures:
    """Make the measurements on a cluster."""
    install_crds(cluster)
    cluster.install_crds("servicemonitor")
    login = await Login.load(cluster.kubeconfig, {})
    api = KubernetesApi(login, agent="team")
    team, operators = Team(api), Operators(cluster, folder)
    await team.open()
    sightings = Sightings(await login.connection(), [BY_KIND[kind] for kind in CHILDREN], team.namespace)
    await sightings.open()
    try:
        return await Bench(operators, team, sightings, quick).run()
    except Exception:
        print(operators.started[-1].log.read_text()[-4000:], file=sys.stderr)
        raise
    finally:
        operators.close()
        await sightings.close()
        await api.close()
        login.close()


def main() -> int:
    """Run the benchmark; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.operator", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few repetitions, to see that it works")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, temporary("bench-operator", "control-plane") as cluster:
        figures = asyncio.run(measure(cluster, Path(folder), arguments.quick))
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"written to {REPORT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
