"""A pod as a person who looks for a cause wants to read it: what each container does, and how it ended last."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from modelservice_operator.domain import Diagnosis, diagnose
from modelservice_operator.domain.diagnose import past_failure, read_last_word
from modelservice_operator.domain.pods import condition, is_ready
from modelservice_operator.domain.tree import Tree, branch, items, number, text


@dataclass(frozen=True, slots=True)
class ContainerReport:
    """One container. `last_*` tell of the end before the present state, or of the end that it is in."""

    name: str
    state: str
    restarts: int
    last_exit: int | None = None
    last_reason: str = ""
    last_message: str = ""
    last_time: str = ""


@dataclass(frozen=True, slots=True)
class PodReport:
    """One pod. `found` is the operator's diagnosis; `past` of a crash that it has recovered from."""

    name: str
    phase: str
    node: str
    is_ready: bool
    scheduler: str
    containers: tuple[ContainerReport, ...]
    found: Diagnosis | None = None
    past: Diagnosis | None = None


def report_pod(pod: Tree) -> PodReport:
    """Report a projected pod."""
    placed = condition(pod, "PodScheduled")
    found = diagnose(pod)
    return PodReport(
        name=text(pod, "metadata", "name"),
        phase="Terminating" if text(pod, "metadata", "deletionTimestamp") else text(pod, "status", "phase"),
        node=text(pod, "spec", "nodeName"),
        is_ready=is_ready(pod),
        scheduler=text(placed, "message") if text(placed, "status") == "False" else "",
        containers=tuple(_containers(pod)),
        found=found,
        past=None if found else past_failure(pod),
    )


def failing_container(pod: Tree) -> tuple[str, bool] | None:
    """The container whose log says most about what is wrong, and whether the log of its last end is meant."""
    found = diagnose(pod)
    if found is None:
        return _starting(pod)
    if not found.container or found.exit_code is None:
        return None
    return found.container, not branch(_status_of(pod, found.container), "state", "terminated")


def _starting(pod: Tree) -> tuple[str, bool] | None:
    """A container that runs in a pod that is not ready yet."""
    if is_ready(pod) or text(pod, "metadata", "deletionTimestamp"):
        return None
    running = (text(entry, "name") for entry in _statuses(pod) if branch(entry, "state", "running"))
    name = next(running, "")
    return (name, False) if name else None


def _containers(pod: Tree) -> Iterator[ContainerReport]:
    for status in _statuses(pod):
        ended = branch(status, "lastState", "terminated") or branch(status, "state", "terminated")
        yield ContainerReport(
            name=text(status, "name"),
            state=_state(status),
            restarts=number(status, "restartCount"),
            last_exit=number(ended, "exitCode") if ended else None,
            last_reason=text(ended, "reason"),
            last_message=_last_message(text(ended, "message")),
            last_time=text(ended, "finishedAt"),
        )


def _state(status: Tree) -> str:
    state = branch(status, "state")
    for kind in ("waiting", "terminated"):
        if entry := branch(state, kind):
            reason, said = text(entry, "reason"), text(entry, "message") if kind == "waiting" else ""
            return ": ".join(part for part in (f"{kind} ({reason})" if reason else kind, said) if part)
    if branch(state, "running"):
        return "running, ready" if status.get("ready") is True else "running, not ready"
    return "not started"


def _last_message(said: str) -> str:
    """The words of a termination message: those that the runtime wrote as a document, or the text as it is."""
    word = read_last_word(said)
    if word is None:
        return said.strip()
    return word.message


def _statuses(pod: Tree) -> list[Tree]:
    return [*items(pod, "status", "initContainerStatuses"), *items(pod, "status", "containerStatuses")]


def _status_of(pod: Tree, name: str) -> dict[str, Any]:
    return dict(next((entry for entry in _statuses(pod) if text(entry, "name") == name), {}))
