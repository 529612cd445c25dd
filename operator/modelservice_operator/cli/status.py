"""`status`: how far ModelServices are, once or as a view that follows them."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from modelservice_operator.cli.naming import optional_service_name
from modelservice_operator.cli.progress import Progress, measure
from modelservice_operator.cli.session import Session, with_cluster
from modelservice_operator.cli.world import list_all
from modelservice_operator.kube.api import Body
from modelservice_operator.kube.resources import MODEL_SERVICE

EXIT_NOT_READY: Final = 2
_BAR: Final = 12
_SIGNS: Final = {"done": ("✔", "green"), "now": ("●", "yellow"), "failed": ("✘", "red"), "waiting": ("·", "dim")}
_PLAIN_SIGNS: Final = {"done": "+", "now": ">", "failed": "x", "waiting": "."}


@click.command()
@optional_service_name
@click.option("-w", "--watch", is_flag=True, help="Follow: one service until it is ready, all until you interrupt.")
@click.option("-A", "--all-namespaces", is_flag=True, help="The ModelServices of every namespace.")
@click.option(
    "--interval", type=click.FloatRange(min=0.2), default=1.0, show_default=True, help="Seconds between looks."
)
@with_cluster
async def status(session: Session, name: str | None, watch: bool, all_namespaces: bool, interval: float) -> int:
    """Show how far a ModelService is, or all of the namespace: spec, model, node, server.

    Exit status: 0 all are ready, 1 an error, 2 not all are ready.
    """
    namespace = "" if all_namespaces and name is None else session.namespace
    if not watch:
        found = await _look(session, namespace, name)
        _print(session, found)
        return _exit_status(found)
    return await _follow(session, namespace, name, interval)


async def _follow(session: Session, namespace: str, name: str | None, interval: float) -> int:
    """Look again and again; in a terminal the view is drawn in place, elsewhere every change is a new block."""
    if session.is_json or not sys.stdout.isatty():
        return await _follow_lines(session, namespace, name, interval)
    with Live(console=Console(), auto_refresh=False) as live:
        while True:
            found = await _look(session, namespace, name)
            live.update(as_table(found), refresh=True)
            if name is not None and _exit_status(found) == 0:
                return 0
            await asyncio.sleep(interval)


async def _follow_lines(session: Session, namespace: str, name: str | None, interval: float) -> int:
    told: list[tuple[object, ...]] = []
    while True:
        found = await _look(session, namespace, name)
        news = [(each.name, each.phase, each.reason, each.message, each.replicas, each.steps) for each in found]
        if news != told:
            told = list(news)
            _print(session, found, one_line=True)
        if name is not None and _exit_status(found) == 0:
            return 0
        await asyncio.sleep(interval)


async def _look(session: Session, namespace: str, name: str | None) -> list[Progress]:
    services: list[Body] = (
        await list_all(session.api, MODEL_SERVICE, namespace)
        if name is None
        else [await session.api.get(MODEL_SERVICE, namespace, name)]
    )
    return [measure(service, datetime.now(UTC)) for service in services]


def _print(session: Session, found: Sequence[Progress], one_line: bool = False) -> None:
    if session.is_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=None if one_line else 2))
    elif found:
        click.echo("\n".join(line for each in found for line in as_lines(each)))
    else:
        click.echo("there is no ModelService here; `kubectl modelservice new` writes a first one", err=True)


def _exit_status(found: Sequence[Progress]) -> int:
    return 0 if all(each.is_ready for each in found) else EXIT_NOT_READY


def as_lines(progress: Progress) -> list[str]:
    """One ModelService as plain lines."""
    steps = "  ".join(f"{_PLAIN_SIGNS[state]} {word}" for word, state in progress.steps)
    since = f" for {progress.since}" if progress.since else ""
    name = f"{progress.namespace}/{progress.name}"
    head = f"{name}  {progress.phase}{since}  {progress.replicas}  {steps}  {_percent(progress)}"
    message = f"{progress.reason}: {progress.message}" if progress.message else progress.reason
    return [head.rstrip(), *([] if progress.is_ready else [f"  {message}"])]


def as_table(found: Sequence[Progress]) -> Table:
    """All of them as a table with colours."""
    table = Table(box=None, pad_edge=False)
    for title in ("NAME", "PHASE", "REPLICAS", "STEPS", "PROGRESS", "WHY"):
        table.add_column(title, overflow="fold" if title == "WHY" else "ellipsis")
    for each in found:
        name = f"{each.namespace}/{each.name}"
        why = "" if each.is_ready else f"{each.reason}: {each.message}"
        phase = Text(f"{each.phase} {each.since}".strip(), style="green" if each.is_ready else "yellow")
        table.add_row(name, phase, each.replicas, _steps(each), _bar(each), Text(why))
    return table


def _steps(progress: Progress) -> Text:
    told = Text()
    for word, state in progress.steps:
        sign, style = _SIGNS[state]
        told.append(f"{sign} {word}  ", style=style)
    return told


def _bar(progress: Progress) -> Text:
    if progress.share is None:
        return Text("")
    done = round(progress.share * _BAR)
    return Text(
        f"{'━' * done}{'╌' * (_BAR - done)} {_percent(progress)}", style="green" if progress.is_ready else "cyan"
    )


def _percent(progress: Progress) -> str:
    return "" if progress.share is None else f"{100 * progress.share:.0f} %"
