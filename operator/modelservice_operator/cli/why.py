"""`why NAME`: why a ModelService is not ready, what to do about it, and what that verdict rests on."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import click

from modelservice_operator.cli.evidence import Evidence, gather, staleness
from modelservice_operator.cli.naming import service_name
from modelservice_operator.cli.podreport import ContainerReport, PodReport
from modelservice_operator.cli.session import Session, with_cluster
from modelservice_operator.cli.words import describe_age
from modelservice_operator.controller.keys import Key
from modelservice_operator.domain.tree import Tree, branch, items, moment, text

EXIT_NOT_READY = 2
_SIGNS: Final = {"True": ("+", "green"), "False": ("x", "red"), "Unknown": ("?", "yellow")}


@click.command()
@service_name
@with_cluster
async def why(session: Session, name: str) -> int:
    """Tell why a ModelService is not ready, with the evidence: conditions, pods, events and the end of the log.

    Exit status: 0 it is ready, 1 an error, 2 it is not ready.
    """
    evidence = await gather(session.api, Key(session.namespace, name))
    if session.is_json:
        click.echo(json.dumps(as_document(evidence), indent=2))
    else:
        click.echo("\n".join(as_lines(evidence, datetime.now(UTC))))
    return 0 if evidence.is_ready else EXIT_NOT_READY


def as_document(evidence: Evidence) -> dict[str, Any]:
    """The verdict and the evidence for programs."""
    ready = evidence.ready
    return {
        "namespace": text(evidence.body, "metadata", "namespace"),
        "name": text(evidence.body, "metadata", "name"),
        "ready": evidence.is_ready,
        "phase": text(evidence.status, "phase"),
        "reason": text(ready, "reason"),
        "message": text(ready, "message"),
        "hint": evidence.hint,
        "stale": staleness(evidence.body, evidence.status),
        "conditions": [dict(entry) for entry in items(evidence.status, "conditions")],
        "lastFailure": dict(branch(evidence.status, "lastFailure")),
        "pods": [asdict(pod) for pod in evidence.pods],
        "warnings": [asdict(warning) for warning in evidence.warnings],
        "log": asdict(evidence.log) if evidence.log else None,
        "operator": asdict(evidence.operator),
        "notes": list(evidence.notes),
    }


def as_lines(evidence: Evidence, now: datetime) -> list[str]:
    """The verdict and the evidence for people; times are told from `now` on."""
    notes = [*evidence.notes, *([evidence.operator.note] if evidence.operator.note else [])]
    return [
        *_verdict(evidence, now),
        *_section("Conditions", _conditions(evidence, now)),
        *_section("Pods", (line for pod in evidence.pods for line in _pod(pod, now))),
        *_section("Warning events", _warnings(evidence, now)),
        *_log(evidence),
        *_section("Operator", _operator(evidence)),
        *_section("Not looked at", (f"  {note}" for note in notes)),
    ]


def _verdict(evidence: Evidence, now: datetime) -> Iterator[str]:
    ready, metadata = evidence.ready, branch(evidence.body, "metadata")
    name = click.style(f"ModelService {text(metadata, 'namespace')}/{text(metadata, 'name')}", bold=True)
    if not ready:
        yield f"{name} has no verdict yet"
    else:
        word, colour = ("ready", "green") if evidence.is_ready else ("not ready", "red")
        yield f"{name} is {click.style(word, fg=colour)}{_since(ready, now)}: {text(ready, 'reason')}"
        yield f"  {text(ready, 'message')}"
    if evidence.hint:
        yield f"  What to do: {evidence.hint}"
    for problem in (*staleness(evidence.body, evidence.status), evidence.operator.problem):
        if problem:
            yield click.style(f"  ! {problem}", fg="yellow")


def _conditions(evidence: Evidence, now: datetime) -> Iterator[str]:
    for entry in items(evidence.status, "conditions"):
        if text(entry, "type") != "Ready":
            sign, colour = _SIGNS.get(text(entry, "status"), ("?", "yellow"))
            head = click.style(f"  {sign} {text(entry, 'type')}", fg=colour)
            yield f"{head} {text(entry, 'reason')}{_since(entry, now)}: {text(entry, 'message')}"


def _pod(pod: PodReport, now: datetime) -> Iterator[str]:
    where = f" on {pod.node}" if pod.node else ", on no node"
    yield f"  {pod.name}: {pod.phase or 'unseen by any kubelet'}{where}{', ready' if pod.is_ready else ''}"
    if pod.scheduler:
        yield f"    scheduler: {pod.scheduler}"
    for container in pod.containers:
        yield f"    {container.name}: {container.state}{_restarts(container)}"
        if container.last_exit is not None and (container.last_exit or container.restarts):
            yield f"      {_last_end(container, now)}"
    if pod.found:
        yield click.style(f"    {pod.found.reason}: {pod.found.message}", fg="red")
    if pod.past:
        yield click.style(f"    recovered from {pod.past.reason}: {pod.past.message}", fg="yellow")


def _restarts(container: ContainerReport) -> str:
    count = container.restarts
    return f", {count} restart{'s' if count > 1 else ''}" if count else ""


def _last_end(container: ContainerReport, now: datetime) -> str:
    when = _ago(container.last_time, now)
    said = f": {container.last_message}" if container.last_message else ""
    reason = f" ({container.last_reason})" if container.last_reason else ""
    return f"ended with exit code {container.last_exit}{reason}{when}{said}"


def _warnings(evidence: Evidence, now: datetime) -> Iterator[str]:
    for each in evidence.warnings:
        often = f" {each.count} times, last" if each.count > 1 else ""
        yield f"  {each.object}{often}{_ago(each.time, now)}: {each.reason}: {each.message}"


def _log(evidence: Evidence) -> list[str]:
    log = evidence.log
    if log is None:
        return []
    when = ", before it was started again" if log.previous else ""
    title = f"Last lines of {log.container} in {log.pod}{when}"
    return _section(title, (f"  {line}" for line in log.lines))


def _operator(evidence: Evidence) -> Iterator[str]:
    operator = evidence.operator
    if operator.image:
        leads = f"{operator.leader} leads" if operator.leader else "no replica leads"
        age = f", lease renewed {operator.renewed_seconds:.0f} s ago" if operator.renewed_seconds is not None else ""
        yield f"  {leads}{age}, {operator.ready_replicas} ready in {operator.namespace}, image {operator.image}"


def _section(title: str, lines: Iterator[str]) -> list[str]:
    """A title with its lines; nothing where there is nothing to tell."""
    found = list(lines)
    return ["", click.style(title, bold=True), *found] if found else []


def _since(entry: Tree, now: datetime) -> str:
    then = moment(entry, "lastTransitionTime")
    return f" for {describe_age((now - then).total_seconds())}" if then else ""


def _ago(time: str, now: datetime) -> str:
    then = moment({"time": time}, "time")
    return f" {describe_age((now - then).total_seconds())} ago" if then else ""
