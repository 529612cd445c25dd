"""What the status tells about the model, the accelerator and the start.

Nothing is invented: what nobody reported is absent.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from ..api.names import FETCH_CONTAINER, SERVER_CONTAINER
from .placement import devices_of
from .pods import condition, container_status, fetch_result, is_ready, newest_ready
from .settings import served_name
from .tree import Tree, branch, moment, number, seconds, text
from .world import World

_MODEL_TEXTS: Final = ("resolvedRevision", "format", "architecture", "task", "dtype")
_MODEL_NUMBERS: Final = ("sizeBytes", "parameters")
STARTS: Final = 5
"""How many starts are kept in the status."""
_RUNTIME_STEPS: Final = ("importSeconds", "loadSeconds", "warmupSeconds")


def reporting_pod(world: World) -> Tree | None:
    """The pod whose runtime report was read, if it is of the current revision."""
    pod = newest_ready(world.state.pods)
    return pod if any(pod is other for other in world.pods.current) else None


def model_report(world: World, previous: Tree) -> dict[str, Any]:
    """The model as preflight, fetch and runtime report it; kept from before while the address is the same."""
    uri = world.service.spec.model.uri
    known = _facts_of(previous) if text(previous, "uri") == uri else {}
    if world.state.gate.found is not None:
        known |= _facts_of(world.state.gate.found.report())
    for pod in reversed(world.pods.current):
        word = fetch_result(pod)
        known |= _facts_of(word.result) if word else {}
    if reporting_pod(world) is not None:
        known |= _facts_of(branch(world.state.runtime, "model"))
    return {"uri": uri, "servedName": served_name(world.service), **known}


def accelerator_report(world: World, previous: Tree) -> dict[str, Any]:
    """The accelerators of each replica, and the device that the server says it computes on."""
    count, resource = devices_of(world.service, world.profile)
    report: dict[str, Any] = {"count": count, "simulated": world.is_simulated}
    if count:
        report["resource"] = resource
    device = text(world.state.runtime, "accelerator", "device") if reporting_pod(world) is not None else ""
    device = device or text(previous, "device")
    return {**report, "device": device} if device else report


def startup_report(world: World, previous: Tree) -> dict[str, float]:
    """How long the newest ready pod took, by step; that of an earlier pod is kept until then.

    Kubernetes gives times in whole seconds, so steps between them are whole; the runtime's own have fractions. The time
    for pulling images includes whatever else the kubelet does between the sandbox and the first container.
    """
    kept = {key: value for key in previous if (value := seconds(previous, key)) is not None}
    pod = reporting_pod(world)
    if pod is None or number(container_status(pod, SERVER_CONTAINER), "restartCount") or not is_ready(pod):
        return kept
    steps = {**_pod_steps(pod), **_runtime_steps(world)}
    is_same_pod = all(kept.get(key) == steps.get(key) for key in ("scheduledSeconds", "totalSeconds"))
    return {**kept, **steps} if is_same_pod else steps


def startup_history(world: World, previous: Sequence[Tree], startup: Mapping[str, float]) -> list[dict[str, Any]]:
    """The starts of the last pods that `startup` was about, newest first; one entry a pod."""
    pod = reporting_pod(world)
    known = {text(entry, "pod"): dict(entry) for entry in previous}
    if pod is not None and startup and not number(container_status(pod, SERVER_CONTAINER), "restartCount"):
        name = text(pod, "metadata", "name")
        revision = f"{world.service.metadata.name}-{world.pods.revision}"
        created = text(pod, "metadata", "creationTimestamp")
        known[name] = {**known.get(name, {}), "pod": name, "revision": revision, "created": created, **startup}
    return sorted(known.values(), key=lambda entry: (text(entry, "created"), text(entry, "pod")), reverse=True)[:STARTS]


def _facts_of(source: Mapping[str, Any]) -> dict[str, Any]:
    words = {key: word for key in _MODEL_TEXTS if (word := text(source, key))}
    counts = {key: count for key in _MODEL_NUMBERS if (count := number(source, key)) > 0}
    return {**words, **counts}


def _runtime_steps(world: World) -> dict[str, float]:
    startup = branch(world.state.runtime, "startup")
    found = ((key, seconds(startup, key)) for key in _RUNTIME_STEPS)
    return {key: round(value, 3) for key, value in found if value is not None}


def _pod_steps(pod: Tree) -> dict[str, float]:
    created = moment(pod, "metadata", "creationTimestamp")
    scheduled = moment(condition(pod, "PodScheduled"), "lastTransitionTime")
    sandboxed = moment(condition(pod, "PodReadyToStartContainers"), "lastTransitionTime") or scheduled
    fetched = branch(container_status(pod, FETCH_CONTAINER), "state", "terminated")
    server = branch(container_status(pod, SERVER_CONTAINER), "state", "running")
    began, ended = moment(fetched, "startedAt"), moment(fetched, "finishedAt")
    started = moment(server, "startedAt")
    steps = {
        "scheduledSeconds": _between(created, scheduled),
        "imagePullSeconds": _sum(_between(sandboxed, began), _between(ended, started))
        if fetched
        else _between(sandboxed, started),
        "downloadSeconds": _download(pod, began, ended),
        "totalSeconds": _between(created, moment(condition(pod, "Ready"), "lastTransitionTime")),
    }
    return {key: value for key, value in steps.items() if value is not None}


def _download(pod: Tree, began: datetime | None, ended: datetime | None) -> float | None:
    word = fetch_result(pod)
    told = seconds(word.result, "downloadSeconds") if word else None
    return round(told, 3) if told is not None else _between(began, ended)


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return max(0.0, (end - start).total_seconds()) if start and end else None


def _sum(*parts: float | None) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known else None
