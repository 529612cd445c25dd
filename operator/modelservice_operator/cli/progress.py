"""How far a ModelService is: the steps from its spec to an answer, from its conditions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from modelservice_operator.cli.evidence import condition_in
from modelservice_operator.cli.words import describe_age
from modelservice_operator.domain.tree import Tree, branch, items, moment, number, seconds, text

State = Literal["done", "now", "failed", "waiting"]

_STEPS: Final = {"SpecValid": "spec", "ModelAvailable": "model", "Scheduled": "node", "RuntimeReady": "server"}
_UNDER_WAY: Final = ("Resolving", "Downloading", "Starting", "Pending")


@dataclass(frozen=True, slots=True)
class Progress:
    """One ModelService on its way. `share` is how much of the start is over, from 0 to 1, where that can be told."""

    namespace: str
    name: str
    phase: str
    is_ready: bool
    reason: str
    message: str
    replicas: str
    steps: tuple[tuple[str, State], ...]
    since: str
    share: float | None = None


def measure(service: Tree, now: datetime) -> Progress:
    """The progress of a ModelService at `now`."""
    status = branch(service, "status")
    ready = condition_in(status, "Ready")
    current = number(status, "observedGeneration") >= number(service, "metadata", "generation")
    is_ready = current and text(ready, "status") == "True"
    then = moment(ready, "lastTransitionTime")
    age = (now - then).total_seconds() if then else None
    return Progress(
        namespace=text(service, "metadata", "namespace"),
        name=text(service, "metadata", "name"),
        phase=text(status, "phase") or "Unseen",
        is_ready=is_ready,
        reason=text(ready, "reason") or "Unseen",
        message=text(ready, "message") if current else "the operator has not looked at this generation of the spec yet",
        replicas=text(status, "replicasSummary"),
        steps=_steps(status),
        since=describe_age(age) if age is not None else "",
        share=_share(status, is_ready, age),
    )


def _steps(status: Tree) -> tuple[tuple[str, State], ...]:
    """Each step; what comes after the first that is not done waits, although its condition may be True already."""
    found: list[tuple[str, State]] = []
    open_ = False
    for type_, word in _STEPS.items():
        entry = condition_in(status, type_)
        state: State = "done" if text(entry, "status") == "True" else "waiting"
        if text(entry, "status") == "False":
            state = "now" if text(entry, "reason") in _UNDER_WAY else "failed"
        elif state == "waiting" and not open_ and items(status, "conditions"):
            state = "now"
        found.append((word, "waiting" if open_ and state != "failed" else state))
        open_ = open_ or state != "done"
    return tuple(found)


def _share(status: Tree, is_ready: bool, age: float | None) -> float | None:
    """How much of the last start's time has passed; never all of it before the service is ready."""
    if is_ready:
        return 1.0
    usual = seconds(status, "startup", "totalSeconds")
    if not usual or age is None or text(condition_in(status, "Ready"), "reason") not in _UNDER_WAY:
        return None
    return min(max(age, 0.0) / usual, 0.99)
