"""Measure an operator on a control plane of its own: `python -m tests.bench.operator [--quick]`.

etcd, the API server, the controller manager and the scheduler are real; KWOK plays the kubelets of nodes with simulated
GPUs. Times are those of the watch events that a client sees, from the moment before it sent its request; counts come
from the API server's audit log. Writes build/bench/operator.json, .md and .svg.

Another operator is measured the same way with --command, --setup, --template, --child and --hot; it gets the account of
ours with the rights of an administrator.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from modelservice_operator.kube.resources import BY_KIND
from tests.bench.operator import report
from tests.bench.operator.figures import Figure
from tests.bench.operator.measures import FULL, Bench, Sizes
from tests.bench.operator.nodes import simulated_nodes
from tests.bench.operator.subject import CHILDREN, HOT, TEMPLATE, Subject, read_subject
from tests.bench.operator.world import World, opened
from tests.bench.runtime.machine import describe
from tests.cluster import Cluster
from tests.support.account import USER, install_account
from tests.support.clusters import temporary
from tests.support.operators import ROOT, install_crds

SPARE_GPUS = 256


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.operator", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="200 objects and few repetitions")
    parser.add_argument("--count", type=int, default=0, help="how many objects (default 1000)")
    parser.add_argument("--only", nargs="*", default=[], metavar="STEP", help="only these steps, in their order")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench", help="folder of the report")
    other = parser.add_argument_group("another operator")
    other.add_argument("--command", default="", help="starts it; KUBECONFIG stands for the file with its login")
    other.add_argument("--setup", type=Path, nargs="*", default=[], help="manifests that it needs, applied first")
    other.add_argument("--template", type=Path, default=TEMPLATE, help="the object that people create")
    other.add_argument("--child", nargs="*", default=CHILDREN, metavar="GROUP/VERSION/PLURAL", help="its children")
    other.add_argument("--hot", default=HOT, help="merge patch of an update; TICK stands for its number")
    return parser.parse_args(words)


def prepare(cluster: Cluster, arguments: argparse.Namespace) -> Subject:
    """Install what the operator needs."""
    install_crds(cluster)
    install_account(cluster)
    if arguments.command:
        grant = ("create", "clusterrolebinding", "measured", "--clusterrole=cluster-admin", f"--user={USER}")
        cluster.kubectl(*grant)
        for file in arguments.setup:
            cluster.kubectl("apply", "--server-side", "-f", str(file))
    else:
        cluster.install_crds("servicemonitor")
    return read_subject(cluster, arguments.template, arguments.child, arguments.hot, arguments.command)


async def measure(bench: Bench, world: World, only: Sequence[str], figures: list[Figure]) -> None:
    """Make the measurements, and add what they give to `figures`; one that fails ends the others."""
    for name, step in bench.steps():
        if only and name not in only:
            continue
        world.phase, started = name, time.monotonic()
        found = await step()
        figures += found
        print(f"{name}   ({time.monotonic() - started:.0f} s)", flush=True)
        for each in found:
            print(f"  {each.name}: {each.value:.4g} {each.unit}{_verdict(each)}", flush=True)


def _verdict(figure: Figure) -> str:
    return "" if figure.met is None else f"   ({figure.target}: {'met' if figure.met else 'MISSED'})"


async def run(cluster: Cluster, arguments: argparse.Namespace, folder: Path) -> bool:
    """Measure and report; return whether every target was met."""
    subject = prepare(cluster, arguments)
    count = arguments.count or (200 if arguments.quick else 1000)
    extra = [BY_KIND[kind] for kind in FULL] if subject.is_ours else []
    async with opened(cluster, subject, folder, extra) as world:
        bench = Bench(world, Sizes.of(count, arguments.quick))
        what = f"{count} services of {len(subject.children)} children, 2 pods each"
        about = f"{what}; load {os.getloadavg()[0]:.1f} before; {describe()}"
        figures: list[Figure] = []
        world.start()
        try:
            await measure(bench, world, arguments.only, figures)
        except Exception:
            print(_ends(folder), file=sys.stderr)
            raise
        finally:
            for path in report.write(arguments.out, figures, bench.curve, world.samples, about):
                print(f"written: {path}")
    return all(each.met is not False for each in figures)


def _ends(folder: Path) -> str:
    """The ends of all logs."""
    return "\n".join(f"{log}:\n{log.read_text()[-3000:]}" for log in sorted(folder.glob("*.log")))


def main() -> int:
    """Run the benchmark; the exit status is 1 when a target was missed."""
    arguments = read_arguments()
    count = arguments.count or (200 if arguments.quick else 1000)
    with (
        tempfile.TemporaryDirectory() as place,
        temporary(f"test-bench-{os.getpid()}", "control-plane") as cluster,
        simulated_nodes(cluster, 2 * count + SPARE_GPUS, Path(place) / "kwok.log"),
    ):
        return int(not asyncio.run(run(cluster, arguments, Path(place))))


if __name__ == "__main__":
    sys.exit(main())
