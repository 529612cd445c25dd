"""`plan -f FILE`: everything that applying a file would create, change or delete, before anything is touched.

The file goes to `kubectl apply --dry-run=server`, so that what is planned is what kubectl would store; the children
come from the operator's own code, and each of them goes through a dry run of the operator's own request.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import click

from modelservice_operator.api.reasons import default_hint
from modelservice_operator.cli.changes import FieldChange
from modelservice_operator.cli.forecast import ChildForecast, Forecast, foresee
from modelservice_operator.cli.session import EXIT_ERROR, CommandError, Session, Target, with_cluster
from modelservice_operator.cli.words import describe_change
from modelservice_operator.cli.world import read_facts
from modelservice_operator.kube.api import Body
from modelservice_operator.kube.resources import MODEL_SERVICE, RUNTIME_PROFILE

EXIT_CHANGES = 2
_SIGNS = {"create": ("+", "green"), "change": ("~", "yellow"), "delete": ("-", "red")}


@click.command()
@click.option("-f", "--filename", required=True, help="File with ModelServices, and RuntimeProfiles; - is the input.")
@click.option("--server-side", is_flag=True, help="Plan for `kubectl apply --server-side`.")
@click.option("--runtime-image", help="The operator's default runtime image, where its Deployment cannot be read.")
@with_cluster
async def plan(session: Session, filename: str, server_side: bool, runtime_image: str | None) -> int:
    """Show what applying a file would create, change, delete and restart; touch nothing.

    Exit status: 0 nothing would change, 1 an error, or something would be refused, 2 there are changes.
    """
    bodies = await _dry_run(session.target, filename, server_side)
    services = [body for body in bodies if body["kind"] == MODEL_SERVICE.kind]
    profiles = [body for body in bodies if body["kind"] == RUNTIME_PROFILE.kind]
    if not services:
        raise CommandError(f"{filename} holds no ModelService; a RuntimeProfile is planned with a service that uses it")
    given = {"default_runtime_image": runtime_image} if runtime_image else {}
    facts, note = await read_facts(session.api, given)
    forecasts = [await foresee(session.api, body, profiles, facts) for body in services]
    if session.is_json:
        click.echo(json.dumps({"note": note, "services": [as_document(entry) for entry in forecasts]}, indent=2))
    else:
        click.echo("\n".join(line for entry in forecasts for line in as_lines(entry)))
        if note:
            click.echo(f"Note: {note}.", err=True)
    return exit_status(forecasts)


def exit_status(forecasts: Sequence[Forecast]) -> int:
    """0 nothing would change, 1 something could not be carried out, 2 there are changes."""
    if any(entry.has_failed for entry in forecasts):
        return EXIT_ERROR
    return EXIT_CHANGES if any(entry.objects for entry in forecasts) else 0


def as_document(forecast: Forecast) -> dict[str, Any]:
    """A forecast for programs."""
    document = asdict(replace(forecast, error=None))
    error = forecast.error
    if error is None:
        return document
    hint = default_hint(error.reason)
    return {**document, "error": {"reason": error.reason, "field": error.field, "message": error.message, "hint": hint}}


def as_lines(forecast: Forecast) -> list[str]:
    """A forecast for people."""
    lines = [click.style(f"ModelService {forecast.namespace}/{forecast.name}", bold=True)]
    for entry in forecast.objects:
        lines += _object_lines(entry)
    if not forecast.objects and not forecast.has_failed:
        lines.append("  nothing would change")
    if forecast.restart is not None:
        restart = forecast.restart
        reason = ", ".join(restart.fields[:3]) + (", ..." if len(restart.fields) > 3 else "")
        what = f"{restart.pods} pod{'s' if restart.pods > 1 else ''} would be replaced ({restart.strategy})"
        lines.append(click.style(f"  ! {what}, because of {reason}", fg="yellow"))
    lines += [click.style(f"  ! {conflict}", fg="red") for conflict in forecast.conflicts]
    if forecast.error is not None:
        said = f"  ! the operator would say {forecast.error.reason}: {forecast.error}"
        lines += [click.style(said, fg="red"), f"    {default_hint(forecast.error.reason)}"]
    return lines + [f"  Note: {note}" for note in forecast.notes]


def _object_lines(entry: ChildForecast) -> list[str]:
    sign, colour = _SIGNS[entry.action]
    refused = [click.style(f"      refused by the API server: {entry.refused}", fg="red")] if entry.refused else []
    head = click.style(f"  {sign} {entry.kind} {entry.name}", fg=colour)
    return [head, *refused, *(line for change in entry.fields for line in _field_lines(change))]


def _field_lines(change: FieldChange) -> list[str]:
    return [f"      {line}" for line in describe_change(change)]


async def _dry_run(target: Target, filename: str, server_side: bool) -> list[Body]:
    """The objects of a file as the API server would store them. Raises CommandError with kubectl's words."""
    command = ["kubectl", "apply", "--dry-run=server", "-o", "json", "-f", filename, *target.kubectl_flags()]
    command += ["--server-side"] if server_side else []
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError:
        raise CommandError("plan needs kubectl in the PATH") from None
    printed, said = await process.communicate()
    if process.returncode:
        raise CommandError(said.decode(errors="replace").strip())
    document = json.loads(printed)
    return list(document["items"]) if document.get("kind") == "List" else [document]
