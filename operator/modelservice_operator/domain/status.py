"""The status of a ModelService, computed whole from what was observed. Pure: the clock is an argument.

What is true is told, and only what is true: Ready needs every pod of the current revision ready, a Deployment that its
controller has seen, and no earlier revision answering. A transition time changes only when a status flips.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from ..api import kinds
from ..api.names import child_name, selector_string, service_url
from ..api.reasons import ConditionType, Reason
from ..api.v1alpha1 import ModelService, RuntimeProfile
from .checks import judge
from .diagnose import past_failure
from .errors import SpecError
from .plan import ChildState
from .report import accelerator_report, model_report, startup_history, startup_report
from .revisions import taken_back
from .tree import Tree, branch, items, number, text
from .verdict import Verdict
from .world import ApplyResults, ObservedState, World, condition_of, look_at

PROGRESS_SECONDS: Final = 10.0
SETTLED_SECONDS: Final = 1.0
SHOWN_DRIFT: Final = 16
LONGEST_LINE: Final = 1024
LONGEST_WORD: Final = 316


def compute_status(
    service: ModelService,
    profile: RuntimeProfile | None,
    observed: ObservedState,
    results: ApplyResults,
    now: datetime,
) -> dict[str, Any]:
    """The complete status. Total: whatever the children and pods look like, it never raises."""
    world = look_at(service, profile, observed, results)
    verdicts = judge(world)
    previous = service.status
    startup = startup_report(world, branch(previous, "startup"))
    status = {
        "observedGeneration": service.metadata.generation,
        "phase": _phase(world, verdicts),
        **_counts(world),
        "selector": selector_string(service.metadata.name),
        "url": service_url(service.metadata.name, service.metadata.namespace, service.spec.network.service.port),
        "profile": profile.metadata.name if profile else "",
        "model": model_report(world, branch(previous, "model")),
        "preflight": _preflight(world, branch(previous, "preflight")),
        "accelerator": accelerator_report(world, branch(previous, "accelerator")),
        "revision": _revision(world, branch(previous, "revision")),
        "startup": startup,
        "startups": startup_history(world, items(previous, "startups"), startup),
        "lastFailure": _last_failure(world, branch(previous, "lastFailure"), now),
        "children": _children(world, previous),
        "conditions": _conditions(verdicts, previous, service.metadata.generation, now),
    }
    return {key: value for key, value in status.items() if value not in ({}, "")}


def rejected_status(body: Mapping[str, Any], error: SpecError, now: datetime) -> dict[str, Any]:
    """The status of an object that cannot be read as a ModelService: what was known, and why it is not acted on."""
    previous = branch(body, "status")
    verdict = Verdict("False", error.reason, str(error))
    failed = {ConditionType.SPEC_VALID: verdict, ConditionType.READY: verdict}
    generation = number(body, "metadata", "generation")
    kept = [entry for entry in items(previous, "conditions") if text(entry, "type") not in failed]
    conditions = [*_conditions(failed, previous, generation, now), *map(dict, kept)]
    return {**previous, "observedGeneration": generation, "phase": "Failed", "conditions": conditions}


def is_urgent(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether people or alerts wait for the change: Ready flips, or a failure appears, changes or goes away."""
    return patience(old, new) == 0


def patience(old: Mapping[str, Any], new: Mapping[str, Any]) -> float:
    """How many seconds a change may wait for more changes, so that all of them are one write.

    A flip of Ready and a new failure are told at once. Steps of a start that goes well may wait long, because the next
    step makes them obsolete; everything else waits a second.
    """
    before, after = _ready_of(old), _ready_of(new)
    if before and text(before, "status") != text(after, "status"):
        return 0.0
    if _failing(new) and _failing(new) != _failing(old):
        return 0.0
    if _failing(old) != _failing(new):
        return SETTLED_SECONDS
    is_at_rest = text(after, "status") == "True" or text(after, "reason") in _AT_REST
    is_starting = bool(before) and not is_at_rest and not _is_new_generation(old, new)
    return PROGRESS_SECONDS if is_starting else SETTLED_SECONDS


_AT_REST: Final = (Reason.SUSPENDED, Reason.SCALED_TO_ZERO)
_UNDER_WAY: Final = (Reason.PENDING, Reason.STARTING, Reason.DOWNLOADING, Reason.RESOLVING)


def _ready_of(status: Tree) -> Tree:
    entries = items(status, "conditions")
    return next((entry for entry in entries if text(entry, "type") == ConditionType.READY), {})


def _failing(status: Tree) -> str:
    """The reason of a failure; empty when all is well or on its way."""
    ready = _ready_of(status)
    reason = text(ready, "reason")
    return "" if not ready or text(ready, "status") == "True" or reason in _UNDER_WAY else reason


def _is_new_generation(old: Tree, new: Tree) -> bool:
    return number(old, "observedGeneration") != number(new, "observedGeneration")


def _counts(world: World) -> dict[str, Any]:
    counts = {
        key: number(world.deployment, "status", key) + number(world.canary, "status", key)
        for key in ("replicas", "readyReplicas", "updatedReplicas")
    }
    return {**counts, "replicasSummary": f"{counts['readyReplicas']}/{world.wanted}"}


def _phase(world: World, verdicts: Mapping[ConditionType, Verdict]) -> str:
    ready = verdicts[ConditionType.READY]
    if ready.status == "True":
        return "Degraded" if any(verdict.is_soft for verdict in verdicts.values()) else "Ready"
    if ready.reason in (Reason.SCALED_TO_ZERO, Reason.SUSPENDED):
        return "Suspended"
    if ready.reason in (Reason.STARTING, Reason.RESOLVING, Reason.DOWNLOADING, Reason.PENDING):
        return _phase_of_start(world, verdicts)
    if number(world.deployment, "status", "readyReplicas"):
        return "Degraded"
    waits = verdicts[ConditionType.SCHEDULED].status == "False"
    return "Pending" if waits and verdicts[ConditionType.SPEC_VALID].status == "True" else "Failed"


def _phase_of_start(world: World, verdicts: Mapping[ConditionType, Verdict]) -> str:
    model = verdicts[ConditionType.MODEL_AVAILABLE].reason
    if model in (Reason.DOWNLOADING, Reason.RESOLVING):
        return str(model)
    return "Loading" if verdicts[ConditionType.SCHEDULED].status == "True" else "Pending"


def _preflight(world: World, previous: Tree) -> dict[str, Any]:
    """What is known of the source, so that no Job has to find it out again."""
    if world.state.error is not None:
        return dict(previous)
    found = world.state.gate.found
    return found.report() if found is not None else {}


def _revision(world: World, previous: Tree) -> dict[str, str]:
    last, before = text(previous, "current"), text(previous, "previous")
    current = f"{world.service.metadata.name}-{world.pods.revision}" if world.pods.revision else last
    if last and current != last:
        before = last
    back = taken_back(world.deployment)
    tried = world.canary_pods.revision
    canary = f"{text(world.canary, 'metadata', 'name')}-{tried}" if world.canary and tried else ""
    failed = back.name or back.revision if back else ""
    names = {"current": current, "previous": before, "canary": canary, "failed": failed}
    return {key: name for key, name in names.items() if name}


def _last_failure(world: World, previous: Tree, now: datetime) -> dict[str, Any]:
    """The failure of a pod now, else the newest one that a pod recovered from, else the one known before.

    While the same pod fails for the same reason the entry stays as it is, so a crash loop is told once.
    """
    order = list(ConditionType)
    failing = [(pod, found) for pod, found in world.failures]
    failing.sort(key=lambda entry: (order.index(condition_of(entry[1])), text(entry[0], "metadata", "name")))
    if not failing:
        recovered = ((pod, past_failure(pod)) for pod in world.pods.current)
        newer = [(p, found) for p, found in recovered if found and found.time > text(previous, "time")]
        failing = sorted(newer, key=lambda entry: entry[1].time, reverse=True)[:1]
    entries = [_failure_entry(pod, found, now) for pod, found in failing]
    for entry in entries:
        if all(entry.get(key) == previous.get(key) for key in ("pod", "container", "reason")):
            return dict(previous)
    return entries[0] if entries else dict(previous)


def _failure_entry(pod: Tree, found: Any, now: datetime) -> dict[str, Any]:
    entry = {
        "component": found.component,
        "pod": text(pod, "metadata", "name"),
        "container": found.container,
        "reason": str(found.reason),
        "message": found.message,
        "hint": found.hint,
        "time": found.time or _stamp(now),
    }
    filled = {key: value for key, value in entry.items() if value}
    return {**filled, "exitCode": found.exit_code} if found.exit_code is not None else filled


def _children(world: World, previous: Tree) -> list[dict[str, Any]]:
    plan = world.state.plan
    if plan is None:
        return [dict(entry) for entry in items(previous, "children")]
    failed = {(failure.kind, failure.name) for failure in world.results.failures}
    children = [_child(child, (child.kind, child.name) in failed) for child in plan.children]
    name = world.service.metadata.name
    known = {(child["kind"], child["name"]) for child in children}
    leftover = [{"kind": kind, "name": called, "state": "Failed"} for kind, called in sorted(failed - known)]
    unserved = [
        {"kind": kind.kind, "name": child_name(kind.kind, name), "state": "Unavailable"}
        for kind in kinds.CHILD_KINDS
        if kind.kind in world.missing_kinds
    ]
    return [*children, *leftover, *unserved]


def _child(child: ChildState, has_failed: bool) -> dict[str, Any]:
    entry = {"kind": child.kind, "name": child.name, "state": _state_of(child.state, has_failed)}
    drift = [{"field": field.field[:LONGEST_LINE], "manager": field.manager[:LONGEST_WORD]} for field in child.drift]
    return {**entry, "drift": drift[:SHOWN_DRIFT]} if drift else entry


def _state_of(planned: str, has_failed: bool) -> str:
    """The state after the actions were carried out, from the state before."""
    if has_failed:
        return "Failed"
    return {"Pending": "InSync", "Deleting": "Pending"}.get(planned, planned)


def _conditions(
    verdicts: Mapping[ConditionType, Verdict], previous: Tree, generation: int, now: datetime
) -> list[dict[str, Any]]:
    """The conditions, Ready first, since that is the one that people look for."""
    before = {text(entry, "type"): entry for entry in items(previous, "conditions")}
    ordered = sorted(verdicts.items(), key=lambda item: item[0] is not ConditionType.READY)
    return [_condition(type_, verdict, before.get(type_, {}), generation, now) for type_, verdict in ordered]


def _condition(type_: ConditionType, verdict: Verdict, before: Tree, generation: int, now: datetime) -> dict[str, Any]:
    since = text(before, "lastTransitionTime") if text(before, "status") == verdict.status else ""
    return {
        "type": str(type_),
        "status": verdict.status,
        "reason": str(verdict.reason),
        "message": verdict.message,
        "observedGeneration": generation,
        "lastTransitionTime": since or _stamp(now),
    }


def _stamp(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
