"""The harness's command line: `python -m tests.cluster VERB`."""

import signal
import subprocess
import sys
from pathlib import Path

import click

from tests.cluster import binaries, crds
from tests.cluster.cluster import MODES, Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.progress import step
from tests.cluster.providers import local
from tests.cluster.state import all_states, check_name

_NAMED = click.option("--name", default="dev", show_default=True, help="name of the cluster")


@click.group(help=__doc__)
def main() -> None:
    """The verbs."""


@main.command()
@_NAMED
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="node",
    show_default=True,
    help="with a kubelet, or only what tests of the API need",
)
def up(name: str, mode: str) -> None:
    """Bring a cluster up, or do nothing when it is healthy."""
    with step(f"cluster {name} is up"):
        cluster = Cluster.up(name, mode)
    click.echo(f"export KUBECONFIG={cluster.kubeconfig} PATH={cluster.bin}:$PATH")


@main.command()
@_NAMED
@click.option("--all", "every", is_flag=True, help="every cluster of the provider local")
def down(name: str, every: bool) -> None:
    """Remove a cluster and all that it made; caches stay."""
    for target in [state.name for state in all_states()] if every else [check_name(name)]:
        with step(f"cluster {target} is down"):
            local.remove_any(target)


@main.command()
@click.option("--name", default="", help="name of the cluster; all when left out")
def status(name: str) -> None:
    """Show clusters with their processes."""
    names = [name] if name else [state.name for state in all_states()]
    for each in names:
        try:
            lines = Cluster.find(each).status()
        except ClusterError as problem:
            lines = [("state", str(problem))]
        click.echo(each)
        for what, how in lines:
            click.echo(f"  {what:<26}{how}")
    if not names:
        click.echo("no cluster; `python -m tests.cluster up` makes one")


@main.command("build-image")
@_NAMED
@click.argument("tag")
@click.argument("context", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--file",
    "dockerfile",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="default: CONTEXT/Dockerfile",
)
@click.option("--build-arg", "pairs", multiple=True, metavar="NAME=VALUE")
def build_image(name: str, tag: str, context: Path, dockerfile: Path | None, pairs: tuple[str, ...]) -> None:
    """Build an image into the cluster's node."""
    args = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    Cluster.find(name).build_image(tag, context, dockerfile or context / "Dockerfile", args)


@main.command()
@_NAMED
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def load(name: str, archive: Path) -> None:
    """Import an image archive (OCI layout or docker save) into the cluster's node."""
    Cluster.find(name).load(archive)


@main.command()
@_NAMED
@click.argument("count", type=click.IntRange(min=0))
def gpus(name: str, count: int) -> None:
    """Make every node offer COUNT simulated GPUs."""
    Cluster.find(name).set_gpus(count)


@main.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_NAMED
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def kubectl(name: str, args: tuple[str, ...]) -> None:
    """Run kubectl against the cluster; options of the harness go before the first word."""
    cluster = Cluster.find(name)
    program = binaries.ensure(["kubectl"]) / "kubectl"
    sys.exit(subprocess.run([str(program), "--kubeconfig", str(cluster.kubeconfig), *args], check=False).returncode)


@main.command()
@_NAMED
@click.argument("process")
@click.option("--lines", default=100, show_default=True)
def logs(name: str, process: str, lines: int) -> None:
    """Show the end of the log of PROCESS (`status` lists them)."""
    file = Cluster.find(name).logs(process)
    if file is None:
        raise ClusterError(
            f"logs: cluster {name} has no log of {process!r}; `status --name {name}` lists its processes"
        )
    click.echo("\n".join(file.read_text(errors="replace").splitlines()[-lines:]))


@main.command("install-crds")
@_NAMED
@click.argument("names", nargs=-1, required=True, type=click.Choice(crds.NAMES))
def install_crds(name: str, names: tuple[str, ...]) -> None:
    """Install real CRDs of other projects."""
    Cluster.find(name).install_crds(*names)


@main.command()
@click.argument("program")
def tool(program: str) -> None:
    """Print the path of a locked program (helm, kind, kubectl, ...), building it when it is missing."""
    click.echo(binaries.ensure([program]) / program)


def run() -> None:
    """Run the command line; a failure is told in its own words, and SIGTERM cleans up as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except ClusterError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run()
