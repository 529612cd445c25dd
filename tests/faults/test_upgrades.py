"""One version of the operator follows another: what they agree on is left alone, the rest is changed as a whole."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.bench import FaultBench, Replica, World
from tests.support.audit import describe
from tests.support.operators import ROOT, OperatorProcess
from tests.support.polling import until_async

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(400), pytest.mark.thorough]

BASIC = ("ServiceAccount", "Deployment", "Service")
ADDITION = "  minReadySeconds: 7\n"
"""What the other version's template of a Deployment has besides."""


@dataclass
class Build(OperatorProcess):
    """An operator whose code is in a folder of its own."""

    code: Path = ROOT / "operator"

    def spawn(self, words: Sequence[str]) -> "subprocess.Popen[bytes]":
        """Start the process."""
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "modelservice_operator", *words]
            environment = {**os.environ, "PYTHONPATH": str(self.code)}
            return subprocess.Popen(command, stderr=log, stdout=log, env=environment)


def build(folder: Path, addition: str = "") -> Path:
    """A copy of the operator's code, whose template of a Deployment has an addition."""
    shutil.copytree(ROOT / "operator" / "modelservice_operator", folder / "modelservice_operator")
    template = folder / "modelservice_operator" / "render" / "templates" / "deployment.yaml.j2"
    text = template.read_text()
    assert text.count("\nspec:\n") == 1
    template.write_text(text.replace("\nspec:\n", f"\nspec:\n{addition}"))
    return folder


def run(bench: FaultBench, code: Path) -> Replica:
    """A replica of that build, which leads."""
    replica = bench.add()
    old = replica.operator
    replica.operator = Build(old.kubeconfig, old.log, old.identity, old.flags, old.port, code=code)
    replica.operator.start()
    replica.operator.wait(replica.operator.leads, "it leads", 60)
    return replica


async def settled(bench: FaultBench) -> World:
    """The world once nothing is written any more."""
    await bench.converge("chat", *BASIC)
    await bench.team.quiet(2.0)
    return await bench.world()


async def test_nothing_is_written_when_the_next_version_makes_the_same(bench: FaultBench, tmp_path: Path) -> None:
    first = run(bench, build(tmp_path / "first"))
    await bench.team.create("chat")
    before = await settled(bench)
    bench.audit.mark()
    assert first.operator.terminate() == 0
    second = run(bench, build(tmp_path / "second"))
    second.operator.wait(
        lambda: second.operator.metric('modelservice_operator_reconciles_total{result="InSync"}') >= 1, "it looked", 30
    )
    assert await settled(bench) == before
    assert describe(bench.writes()) == []
    bench.expect_health([second])


async def test_field_comes_and_goes_with_the_version_that_has_it(bench: FaultBench, tmp_path: Path) -> None:
    plain, other = build(tmp_path / "plain"), build(tmp_path / "other", ADDITION)
    first = run(bench, plain)
    await bench.team.create("chat")
    before = await settled(bench)
    assert first.operator.terminate() == 0
    second = run(bench, other)
    await expect_seconds(bench, 7)
    assert second.operator.terminate() == 0
    bench.audit.mark()
    third = run(bench, plain)
    await expect_seconds(bench, None)
    assert await settled(bench) == before, "a field of the other version was left"
    assert {e["objectRef"]["resource"] for e in bench.writes()} <= {"deployments", "modelservices"}
    bench.expect_health([third])


async def expect_seconds(bench: FaultBench, seconds: int | None) -> None:
    """Wait until the Deployment has that value, or none."""

    async def so() -> bool:
        body = await bench.team.get("Deployment", "chat") or {"spec": {}}
        return body["spec"].get("minReadySeconds") == seconds

    await until_async(so, 60)
