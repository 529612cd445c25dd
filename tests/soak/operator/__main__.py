"""`python -m tests.soak.operator`: prints what was found; the exit code is 1 when something was lost or leaked."""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from modelservice_operator.kube.client import KubernetesApi, Login
from tests.bench.operator.figures import Figure
from tests.bench.operator.nodes import simulated_nodes
from tests.bench.runtime.machine import describe as describe_machine
from tests.cluster import Cluster
from tests.faults.bench import RENEW_DEADLINE, FaultBench, Replica
from tests.soak.operator.churn import Churn
from tests.soak.operator.memory import Memory
from tests.support.account import install_account
from tests.support.audit import describe, strangers
from tests.support.clusters import temporary
from tests.support.operators import ROOT, install_crds, memory_of
from tests.support.polling import until_async
from tests.support.team import Team

SAMPLE_SECONDS = 2.0
SETTLE_SECONDS = 180.0
QUIET_SECONDS = 15.0
TAKEOVER_SECONDS = 40.0
"""The bound is 17; this one only keeps a soak from hanging, and the longest is reported."""
GROWTH = 0.05
ROOM = 1024
"""Simulated GPUs: they decide how many nodes there are, which decides how many pods fit."""


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.operator", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="how long the churn lasts (default 60)")
    parser.add_argument("--services", type=int, default=300, help="how many services at most (default 300)")
    parser.add_argument("--rate", type=float, default=5, help="changes a second (default 5)")
    parser.add_argument("--kill-seconds", type=float, default=60, help="time between ends of a leader (default 60)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "soak", help="folder of the report")
    return parser.parse_args(words)


class Soak:
    """Churn, ends of leaders and samples, side by side."""

    def __init__(self, bench: FaultBench, churn: Churn, seconds: float, rate: float, kill_seconds: float) -> None:
        self._bench = bench
        self._churn = churn
        self._rate = rate
        self._kill_seconds = kill_seconds
        self._began = time.monotonic()
        self._seconds = seconds
        self.memory = Memory()
        self.takeovers: list[float] = []

    async def run(self) -> None:
        """Go on for the time that was asked for."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._change_things())
            group.create_task(self._end_leaders())
            group.create_task(self._look_at_memory())

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    async def _change_things(self) -> None:
        steps = 0
        while self._elapsed < self._seconds:
            await self._churn.step()
            steps += 1
            await asyncio.sleep(max(0.0, steps / self._rate - self._elapsed))

    async def _end_leaders(self) -> None:
        """Kill a leader, cut the streams of the next one, ask one to end, and so on."""
        turns = 0
        while self._elapsed + self._kill_seconds + TAKEOVER_SECONDS < self._seconds:
            await asyncio.sleep(self._kill_seconds)
            leader, standby = sorted(self._bench.replicas, key=lambda each: not each.operator.leads())
            standby.proxy.sever()
            await asyncio.to_thread(self._replace, leader, standby, by_force=turns % 3 != 2)
            turns += 1

    def _replace(self, leader: Replica, standby: Replica, *, by_force: bool) -> None:
        at = time.monotonic()
        if by_force:
            leader.operator.kill()
        else:
            leader.operator.terminate()
        standby.operator.wait(standby.operator.leads, "the other replica leads", TAKEOVER_SECONDS)
        self.takeovers.append(time.monotonic() - at)
        leader.restart()

    async def _look_at_memory(self) -> None:
        while self._elapsed < self._seconds:
            for replica in self._bench.replicas:
                process = replica.operator.process
                with suppress(FileNotFoundError, ProcessLookupError, KeyError):  # it may be ending at this moment
                    if process is not None and process.poll() is None:
                        self.memory.note(self._elapsed, process.pid, memory_of(process.pid)[0])
            await asyncio.sleep(SAMPLE_SECONDS)


async def settle(churn: Churn) -> list[str]:
    """What is still wrong when there was time to put everything right."""
    found: list[str] = []

    async def right() -> bool:
        found[:] = await churn.differences()
        return not found

    with suppress(TimeoutError):
        await until_async(right, SETTLE_SECONDS, pause=1.0)
    return found


async def judge(bench: FaultBench, churn: Churn, soak: Soak) -> list[Figure]:
    """Everything that should hold in the end, as figures."""
    began = time.monotonic()
    wrong = await settle(churn)
    settled = time.monotonic() - began
    foreign = describe(strangers(bench.audit, RENEW_DEADLINE + 1.0))
    await bench.team.quiet(2.0)
    bench.audit.mark()
    await asyncio.sleep(QUIET_SECONDS)
    writes = describe(bench.writes())
    for line in [*wrong, *foreign, *writes][:50]:
        print(f"  {line}", file=sys.stderr)
    bench.expect_health(bench.replicas)
    memory = soak.memory
    growth = memory.last / memory.warm - 1
    return [
        Figure("services at the end", len(churn.wanted), ""),
        Figure("changes", sum(churn.done.values()), ""),
        Figure("ends of a leader", len(soak.takeovers), ""),
        Figure("longest time without a leader", max(soak.takeovers, default=0.0), "s"),
        Figure("children lost, left over or stale", len(wrong), "", "<= 0", not wrong),
        Figure("until all was as asked for, once nothing changed any more", settled, "s"),
        Figure("writes by a replica that did not lead", len(foreign), "", "<= 0", not foreign),
        Figure(f"writes in {QUIET_SECONDS:.0f} s of quiet afterwards", len(writes), "", "<= 0", not writes),
        Figure("memory once warm", memory.warm, "MiB"),
        Figure("memory in the last sixth", memory.last, "MiB"),
        Figure("memory at most", memory.highest, "MiB"),
        Figure("growth of memory", 100 * growth, "%", f"< {GROWTH:.0%}", growth < GROWTH),
    ]


@asynccontextmanager
async def teamed(cluster: Cluster) -> AsyncIterator[Team]:
    """A namespace of its own."""
    login = await Login.load(cluster.kubeconfig, {})
    team = Team(KubernetesApi(login, agent="team"))
    await team.open()
    try:
        yield team
    finally:
        await team.api.close()
        login.close()


async def run(cluster: Cluster, arguments: argparse.Namespace, folder: Path) -> list[Figure]:
    """Soak, and return what was found."""
    install_crds(cluster)
    install_account(cluster)
    async with teamed(cluster) as team:
        bench = FaultBench.open(cluster, folder, team)
        try:
            bench.lead()
            bench.start()
            churn = Churn(team, arguments.services, random.Random(arguments.seed))
            soak = Soak(bench, churn, arguments.minutes * 60, arguments.rate, arguments.kill_seconds)
            await soak.run()
            return await judge(bench, churn, soak)
        finally:
            bench.close()


def report(figures: Sequence[Figure], folder: Path) -> bool:
    """Print and write the figures; return whether every bound was met."""
    for each in figures:
        verdict = "" if each.met is None else f"   ({each.target}: {'met' if each.met else 'MISSED'})"
        print(f"{each.name}: {each.value:.4g} {each.unit}{verdict}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "operator.json").write_text(json.dumps([each.as_json() for each in figures], indent=2) + "\n")
    return all(each.met is not False for each in figures)


def main() -> int:
    """Soak and tell."""
    arguments = read_arguments()
    print(f"{arguments.services} services, {arguments.minutes:g} minutes; {describe_machine()}", flush=True)
    with (
        tempfile.TemporaryDirectory() as place,
        temporary(f"test-soak-{os.getpid()}", "control-plane") as cluster,
        simulated_nodes(cluster, ROOM, Path(place) / "kwok.log"),
    ):
        figures = asyncio.run(run(cluster, arguments, Path(place)))
    return int(not report(figures, arguments.out))


if __name__ == "__main__":
    sys.exit(main())
