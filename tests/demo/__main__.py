"""`python -m tests.demo`: a ModelService for each row, measured through its Service; exits 0 when all rows hold."""

import json
import sys
import time
from itertools import groupby

import click
from rich.console import Console
from rich.table import Table

from tests.cluster import Cluster
from tests.demo.rows import ROWS, Row
from tests.quickstart import ask, images, install, services
from tests.quickstart.timeline import Timeline

NAMESPACE = "demo-rows"
REPORT = images.ROOT / "build" / "demo.json"
READY_SECONDS = 300


def manifest(model: str) -> str:
    """A ModelService of the smallest kind for one demo model."""
    return json.dumps(
        {
            "apiVersion": "modelservice.dev/v1alpha1",
            "kind": "ModelService",
            "metadata": {"name": model, "namespace": NAMESPACE},
            "spec": {"model": {"uri": f"oci://{images.model_image(model)}"}},
        }
    )


def measure(cluster: Cluster, model: str, rows: list[Row], console: Console) -> list[tuple[Row, float]]:
    """Serve a model, measure its rows, and remove it again, so that the next one has the processors."""
    cluster.kubectl("apply", "-f", "-", input=manifest(model))
    try:
        services.wait_for(
            cluster, NAMESPACE, model, services.is_ready, READY_SECONDS, lambda line: console.print(f"    {line}")
        )
        with ask.forwarded(cluster, NAMESPACE, model) as url:
            measured = []
            for row in rows:
                value = row.measure(url, model)
                console.print(f"    {row.work}: {row.metric} {value:.3f}")
                measured.append((row, value))
            return measured
    finally:
        cluster.kubectl("delete", "msvc", model, "-n", NAMESPACE, "--wait=true", "--timeout=90s")


def report(measured: list[tuple[Row, float]], console: Console) -> bool:
    """Print the table, write the report, and tell whether every row holds."""
    table = Table(
        "work", "model", "metric", "measured", "target", "holds", title="What the models do", title_justify="left"
    )
    for row, value in measured:
        bound = f"{'<=' if row.at_most else '>='} {row.target:g}"
        table.add_row(row.work, row.model, row.metric, f"{value:.3f}", bound, "yes" if row.holds(value) else "NO")
    console.print(table)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps([row.result(value) for row, value in measured], indent=2) + "\n")
    return all(row.holds(value) for row, value in measured)


@click.command()
@click.option("--cluster", "name", default="modelservice", show_default=True, help="name of the cluster")
@click.argument("models", nargs=-1)
def main(name: str, models: tuple[str, ...]) -> None:
    """Run the rows of the named demo models, of all without a name; exit 0 only if every row holds."""
    console = Console(highlight=False)
    timeline = Timeline(console)
    began = time.monotonic()
    rows = [row for row in ROWS if not models or row.model in models]
    with timeline.step(f"cluster {name}"):
        cluster = Cluster.up(name=name, mode="node")
    with timeline.step("images: operator, runtime, demo models"):
        images.build_software(cluster)
        images.build_models(cluster, dict.fromkeys(row.model for row in rows))
    with timeline.step("operator: helm install"):
        install.install_operator(cluster)
        install.ensure_namespace(cluster, NAMESPACE)
    measured: list[tuple[Row, float]] = []
    try:
        for model, group in groupby(rows, key=lambda row: row.model):
            with timeline.step(f"ModelService {model}"):
                measured += measure(cluster, model, list(group), console)
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=true", "--timeout=120s")
    holds = report(measured, console)
    console.print(
        f"{len(measured)} rows in {time.monotonic() - began:.0f} s; written to {REPORT.relative_to(images.ROOT)}"
    )
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main(prog_name="python -m tests.demo")
