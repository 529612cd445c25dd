"""`new`: a first ModelService from four answers, as a commented file to keep and to change."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import yaml

from modelservice_operator.api.names import API_VERSION, NAME_MAX_LENGTH
from modelservice_operator.api.uri import ModelUri
from modelservice_operator.cli.session import CommandError
from modelservice_operator.domain import SpecError, read_service
from modelservice_operator.kube.resources import MODEL_SERVICE

_NAME: Final = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_REPLICAS: Final = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")
_SECRETS: Final = {
    "hf": "  #   secretRef: {name: hub-token}        # a private model: a Secret with the key `token`",
    "https": "  #   secretRef: {name: web-login}        # a Secret with the key `authorization`",
    "s3": "  #   secretRef: {name: store-login}      # a Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "  #   secretRef: {name: store-login}      # a Secret with the variables of the store",
    "az": "  #   secretRef: {name: store-login}      # a Secret with the variables of the store",
}


@dataclass(frozen=True, slots=True)
class Answers:
    """The four answers. `fewest` and `most` replicas differ when an autoscaler is to choose."""

    model: str
    name: str
    gpus: int
    fewest: int
    most: int


def _read_name(value: str) -> str:
    if len(value) > NAME_MAX_LENGTH or not _NAME.fullmatch(value):
        rule = f"write at most {NAME_MAX_LENGTH} of a-z, 0-9 and -, a letter first and no - last"
        raise click.BadParameter(f"{value!r} is no name: {rule}")
    return value


def _read_uri(value: str) -> str:
    try:
        ModelUri.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


def _read_replicas(value: str) -> str:
    fewest, most = _span(value)
    if not 1 <= fewest <= most:
        rule = "write a number from 1 on, such as 2, or a range for an autoscaler, such as 1-4"
        raise click.BadParameter(f"{value!r}: {rule}")
    return value


def _span(value: str) -> tuple[int, int]:
    """The fewest and the most replicas; zeros for what is neither a number nor a range."""
    found = _REPLICAS.fullmatch(value)
    return (int(found[1]), int(found[2] or found[1])) if found else (0, 0)


@click.command()
@click.option("--model", prompt="Address of the model (hf://org/name, s3://, pvc://, oci:// ...)", type=_read_uri)
@click.option("--name", type=_read_name, help="Name of the ModelService; asked for with one made of the model's.")
@click.option("--gpus", prompt="GPUs for each replica", default=0, type=click.IntRange(0, 64), help="0: CPUs.")
@click.option("--replicas", prompt="Replicas (a number, or a range such as 1-4)", default="1", type=_read_replicas)
@click.option(
    "-f", "--filename", type=click.Path(path_type=Path), help="File to write; - is the output; default: NAME.yaml."
)
@click.option("--force", is_flag=True, help="Write over a file that exists.")
@click.option("-o", "--output", type=click.Choice(("text", "json")), default="text", help="json prints the object.")
def new(model: str, name: str | None, gpus: int, replicas: str, filename: Path | None, force: bool, output: str) -> int:
    """Write a ModelService from four answers: model, name, GPUs, replicas. What an option gives is not asked."""
    if name is None:
        name = click.prompt("Name of the service", default=suggest_name(model), value_proc=_read_name)
    answers = Answers(model, name, gpus, *_span(replicas))
    document = render(answers)
    body = check(document)
    if output == "json":
        click.echo(json.dumps(body, indent=2))
        return 0
    path = filename or Path(f"{name}.yaml")
    if str(path) == "-":
        click.echo(document, nl=False)
        return 0
    if path.exists() and not force:
        raise CommandError(f"{path} exists; write it over with --force, or name another file with -f")
    path.write_text(document, encoding="utf-8")
    click.echo(
        f"wrote {path}; see what it would do with `kubectl modelservice plan -f {path}`, then `kubectl apply -f {path}`"
    )
    return 0


def suggest_name(model: str) -> str:
    """A valid name made of the last word of a model's address."""
    uri = ModelUri.parse(model)
    last = (uri.path or uri.location).rstrip("/").rsplit("/", 1)[-1]
    word = re.split(r"[@]|:(?=[^:]*$)", last)[0] if uri.scheme == "oci" else last
    plain = re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")
    plain = plain if plain[:1].isalpha() else f"model-{plain}".rstrip("-")
    return plain[:NAME_MAX_LENGTH].rstrip("-")


def check(document: str) -> dict[str, Any]:
    """The object in a document. Raises CommandError when it is no ModelService that the API takes."""
    body: dict[str, Any] = yaml.safe_load(document)
    try:
        read_service(body)
    except SpecError as error:
        raise CommandError(str(error)) from None
    return body


def render(answers: Answers) -> str:
    """The commented file."""
    uri = ModelUri.parse(answers.model)
    lines = [
        f"# {answers.name}: {answers.model}, as a service. `kubectl explain modelservice.spec` describes every field.",
        f"apiVersion: {API_VERSION}",
        f"kind: {MODEL_SERVICE.kind}",
        "metadata:",
        f"  name: {answers.name}",
        "spec:",
        "  model:",
        f"    uri: {json.dumps(answers.model)}",
        *([_SECRETS[uri.scheme]] if uri.scheme in _SECRETS else []),
        *_accelerator(answers.gpus),
        *_replicas(answers),
        "  # resources:                             # of each replica; without them the node's share is not reserved",
        '  #   requests: {cpu: "2", memory: 4Gi}',
        "  #   limits: {memory: 8Gi}",
        "  # security:",
        "  #   apiKeySecretRef: {name: chat-keys}   # clients must then send one of the keys of this Secret",
        "  # rollout:",
        "  #   autoRollback: true                   # a revision that fails is replaced by the last one that served",
    ]
    return "\n".join(lines) + "\n"


def _accelerator(gpus: int) -> list[str]:
    if gpus:
        return [
            "  accelerator:",
            f"    count: {gpus}                             # of each replica, on one node",
            "    # product: NVIDIA-L4                 # only nodes that are labelled with it",
        ]
    return ["  # accelerator: {count: 1}               # a GPU for each replica; without it CPUs compute"]


def _replicas(answers: Answers) -> list[str]:
    if answers.fewest == answers.most:
        return [f"  replicas: {answers.fewest}"]
    return [
        "  autoscaling:                            # needs the chart's metricsAdapter.enabled=true",
        f"    minReplicas: {answers.fewest}",
        f"    maxReplicas: {answers.most}",
        '    metrics: [{type: QueueDepth, target: "4"}]',
    ]
