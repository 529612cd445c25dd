"""`python -m tests.quickstart`: the whole way from nothing to an answer, each step with its time."""

from collections.abc import Callable

import click
from rich.console import Console

from tests.cluster import Cluster
from tests.quickstart import ask, images, install, services
from tests.quickstart.timeline import Timeline

NAMESPACE = "demo"
DEMO = images.ROOT / "manifests" / "demo"
QUESTION = "What is the capital of France?"


def prepare_images(cluster: Cluster, timeline: Timeline) -> None:
    """Build what the demonstration runs: two software images and the packed demo models."""
    with timeline.step("images: operator and runtime"):
        images.build_software(cluster)
    with timeline.step("demo models: fetch, convert, pack"):
        images.build_models(cluster)


def indented(console: Console) -> Callable[[str], None]:
    """Prints a line under the step that is running."""
    return lambda line: console.print(f"    {line}", markup=False)


def show_chat(cluster: Cluster, timeline: Timeline, console: Console) -> None:
    """Apply the chat model, wait for it, and ask it through its Service."""
    with timeline.step("ModelService demo-chat: apply to Ready"):
        services.apply(cluster, DEMO / "demo-chat.yaml")
        services.wait_for(cluster, NAMESPACE, "demo-chat", services.is_ready, say=indented(console))
    with timeline.step("the answer, through the Service"), ask.forwarded(cluster, NAMESPACE, "demo-chat") as url:
        answer = ask.chat(url, "demo-chat", QUESTION)
    console.print(f"\n  [bold]{QUESTION}[/]\n  [bold green]{answer}[/]\n")
    console.print(f"  the answer came {timeline.total:.0f} s after the start\n")
    if "Paris" not in answer:
        raise click.ClickException("the model answered, but not with Paris: the demo model or the runtime is broken")


def show_gpus(cluster: Cluster, timeline: Timeline, console: Console) -> None:
    """Apply one ModelService that fits the node's simulated GPUs and one that asks for more than there are."""
    say = indented(console)
    with timeline.step("GPU scheduling on the node's simulated capacity"):
        services.apply(cluster, DEMO / "gpu-demo.yaml", DEMO / "gpu-too-many.yaml")
        services.wait_for(cluster, NAMESPACE, "gpu-too-many", services.has_reason("InsufficientGPU"), say=say)
        services.wait_for(cluster, NAMESPACE, "gpu-demo", services.is_ready, say=say)


def show_end(cluster: Cluster, timeline: Timeline, console: Console) -> None:
    """The state of the cluster, and what a person may do next."""
    click.echo(cluster.kubectl("get", "msvc", "--all-namespaces"))
    honest = services.condition(services.read(cluster, NAMESPACE, "gpu-too-many"))
    click.echo(f"  gpu-too-many stays unready and says why: {honest['reason']}: {honest['message']}\n")
    console.print(timeline.table())
    console.print(
        f"""
To go on:
  export KUBECONFIG={cluster.kubeconfig} PATH={cluster.bin}:$PATH
  kubectl get msvc -A
  kubectl describe msvc demo-chat -n {NAMESPACE}
  kubectl explain modelservice.spec.model
  kubectl port-forward -n {NAMESPACE} service/demo-chat 8000:80 &
  curl http://127.0.0.1:8000/v1/chat/completions -H 'content-type: application/json' \\
    -d '{{"model": "demo-chat", "messages": [{{"role": "user", "content": "Name the primary colours."}}]}}'

To remove everything:
  make cluster-down
""",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


@click.group(invoke_without_command=True)
@click.option("--cluster", "name", default="modelservice", show_default=True, help="name of the cluster")
@click.pass_context
def main(context: click.Context, name: str) -> None:
    """Start a cluster, install the operator, serve a model, and ask it something."""
    context.obj = name
    if context.invoked_subcommand is not None:
        return
    console = Console(highlight=False)
    timeline = Timeline(console)
    with timeline.step(f"cluster {name}"):
        cluster = Cluster.up(name=name, mode="node")
        cluster.set_gpus(2)
    prepare_images(cluster, timeline)
    with timeline.step("operator: helm install"):
        install.install_operator(cluster)
        install.ensure_namespace(cluster, NAMESPACE)
    show_chat(cluster, timeline, console)
    show_gpus(cluster, timeline, console)
    show_end(cluster, timeline, console)


@main.command("images")
@click.option("--cluster", "name", default="modelservice", show_default=True, help="name of the cluster")
def build_images(name: str) -> None:
    """Build the operator's, the runtime's and the demo models' images into the cluster."""
    console = Console(highlight=False)
    timeline = Timeline(console)
    with timeline.step(f"cluster {name}"):
        cluster = Cluster.up(name=name, mode="node")
    prepare_images(cluster, timeline)
    console.print(timeline.table())


if __name__ == "__main__":
    main(prog_name="python -m tests.quickstart")
