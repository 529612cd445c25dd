"""`try NAME INPUT`: ask a model, whatever its task is, from this machine, without knowing its API."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import aiohttp
import click

from modelservice_operator.api.contract import INFERENCE_PORT
from modelservice_operator.cli.answers import picture_in, tell
from modelservice_operator.cli.asking import CannotAsk, Card, Given, Question, form_question, take
from modelservice_operator.cli.inference import Inference, Refused
from modelservice_operator.cli.naming import service_name
from modelservice_operator.cli.session import CommandError, Session, with_cluster
from modelservice_operator.cli.world import list_all, pods_of
from modelservice_operator.domain.pods import newest_ready
from modelservice_operator.kube.forward import Forward, forward
from modelservice_operator.kube.resources import MODEL_SERVICE

KEY_VARIABLE: Final = "MODELSERVICE_API_KEY"


@click.command("try")
@service_name
@click.argument("words", metavar="INPUT...", nargs=-1)
@click.option("--model", "adapter", help="Adapter or other name of the model to ask; default: the model.")
@click.option("--passage", default="", help="Text to look for the answer in, for question answering.")
@click.option("--label", "labels", multiple=True, help="Label to choose from, for zero-shot tasks; repeat it.")
@click.option("--document", "documents", multiple=True, help="Document to rank, for reranking; repeat it.")
@click.option("--max-tokens", type=click.IntRange(min=1), default=256, show_default=True, help="Most tokens to write.")
@click.option(
    "--temperature", type=click.FloatRange(0, 2), default=0.0, help="0, the default, gives one answer always."
)
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="File for a picture; default: NAME.png.")
@click.option("--api-key", help=f"API key of the server; default: the variable {KEY_VARIABLE}.")
@with_cluster
async def try_(
    session: Session,
    name: str,
    words: tuple[str, ...],
    adapter: str | None,
    save: Path | None,
    api_key: str | None,
    **more: Any,
) -> int:
    """Ask a model: INPUT is text, the name of a text, image or sound file, or - for the standard input.

    A ready pod of the ModelService is asked what its task is, then asked the right question; text is printed as it
    comes, a picture is saved.
    """
    try:
        writing = {option: more.pop(option) for option in ("max_tokens", "temperature")}
        given = take(words, Given(**more), _stdin(words))
        pod = await _ready_pod(session, name)
        async with forward(session.login, session.namespace, pod["metadata"]["name"], inference_port(pod)) as port:
            key = api_key or os.environ.get(KEY_VARIABLE)
            trial = Trial(adapter, writing, save or Path(f"{name}.png"), key, session.is_json)
            return await trial.run(port, given)
    except CannotAsk as error:
        raise CommandError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Trial:
    """One question to one model. `writing` are parameters of text that is written, `save` the file for a picture."""

    adapter: str | None
    writing: Mapping[str, Any]
    save: Path
    key: str | None
    is_json: bool

    async def run(self, port: Forward, given: Given) -> int:
        """Ask through the forwarded port and print the answer. Raises CommandError and CannotAsk."""
        server = Inference(port.url, self.key)
        try:
            card = _chosen(await server.cards(), self.adapter)
            question = form_question(card, given, self.writing)
            if question.is_stream:
                await self._stream(server, card, question)
            else:
                self._show(card, question, await server.ask(question), given)
        except Refused as error:
            hint = f"; give it with --api-key or {KEY_VARIABLE}" if error.code == HTTPStatus.UNAUTHORIZED else ""
            raise CommandError(f"the model's server says: {error}{hint}") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            cause = "; ".join(dict.fromkeys(port.problems)) or str(error) or type(error).__name__
            raise CommandError(f"the model's server could not be reached: {cause}") from None
        finally:
            await server.close()
        return 0

    async def _stream(self, server: Inference, card: Card, question: Question) -> None:
        pieces = []
        async for piece in server.stream(question):
            pieces.append(piece)
            if not self.is_json:
                click.echo(piece, nl=False)
        if self.is_json:
            self._print(card, question, {"text": "".join(pieces)})
        else:
            click.echo()

    def _show(self, card: Card, question: Question, prediction: Any, given: Given) -> None:
        gives = str(card.get("gives"))
        picture = picture_in(gives, prediction)
        lines = tell(gives, prediction, given)
        if picture is not None:
            self.save.write_bytes(picture)
            lines.append(f"saved in {self.save}")
            prediction = {**prediction, "image": str(self.save)}
        if self.is_json:
            self._print(card, question, prediction)
        else:
            click.echo("\n".join(lines))

    def _print(self, card: Card, question: Question, answer: Any) -> None:
        document = {"model": card["id"], "task": card.get("task"), "endpoint": question.path, "answer": answer}
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))


def _stdin(words: tuple[str, ...]) -> str:
    return sys.stdin.read() if "-" in words else ""


def _chosen(cards: list[dict[str, Any]], adapter: str | None) -> Card:
    """The card of the model that is asked. Raises CommandError when the server has none of that name."""
    names = [str(card["id"]) for card in cards]
    if adapter is not None and adapter not in names:
        raise CommandError(f"--model: there is no {adapter} here; the server has {', '.join(names)}")
    return cards[names.index(adapter)] if adapter is not None else cards[0]


def inference_port(pod: Mapping[str, Any]) -> int:
    """The port on which a pod's server answers: the one named `http`, which differs from engine to engine."""
    ports = (port for container in pod["spec"]["containers"] for port in container.get("ports") or ())
    return next((int(port["containerPort"]) for port in ports if port.get("name") == "http"), INFERENCE_PORT)


async def _ready_pod(session: Session, name: str) -> Mapping[str, Any]:
    """A pod that answers. Raises NotFound without such a ModelService, CommandError when no pod is ready."""
    await session.api.get(MODEL_SERVICE, session.namespace, name)
    pod = newest_ready(await list_all(session.api, pods_of(name), session.namespace))
    if pod is None:
        raise CommandError(f"no pod of {name} is ready; ask `kubectl modelservice why {name} -n {session.namespace}`")
    return pod
