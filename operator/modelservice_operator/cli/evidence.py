"""Why a ModelService is not ready: the operator's own judgement of what the API server says now, with the evidence.

The pods, the children and the preflight are read anew and judged by the code that the operator judges with, so the
verdict is the one that the operator comes to as well, also while it does not run or has not written its status yet.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from modelservice_operator.api.kinds import BY_KIND, DEPLOYMENT
from modelservice_operator.api.reasons import ConditionType, Reason, default_hint
from modelservice_operator.cli.events import WarningEvent, select_warnings
from modelservice_operator.cli.overseer import OperatorState, look_at_operator
from modelservice_operator.cli.podreport import PodReport, failing_container, report_pod
from modelservice_operator.cli.world import (
    Surroundings,
    add_service,
    decide_on,
    list_all,
    look_around,
    pods_of,
    preflights_of,
    read_facts,
)
from modelservice_operator.controller.decide import Decision
from modelservice_operator.controller.keys import Key
from modelservice_operator.controller.observe import Observation, observe
from modelservice_operator.domain import (
    Apply,
    ApplyResults,
    Facts,
    Failure,
    ObservedState,
    SpecError,
    compute_status,
    project,
    rejected_status,
)
from modelservice_operator.domain.tree import Tree, branch, items, number, text
from modelservice_operator.kube.api import Body
from modelservice_operator.kube.client import KubernetesApi
from modelservice_operator.kube.errors import ApiError, Conflict, Forbidden, Invalid
from modelservice_operator.kube.resources import MODEL_SERVICE, POD, WARNING_EVENT, child_resource

_LOG_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class LogEnd:
    """The last lines of a container; `previous` says that they are from before it was started again."""

    pod: str
    container: str
    previous: bool
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found. `status` is what the operator would write now; `notes` say what could not be looked at."""

    body: Body
    status: Tree
    pods: tuple[PodReport, ...]
    warnings: tuple[WarningEvent, ...]
    log: LogEnd | None
    operator: OperatorState
    notes: tuple[str, ...] = ()

    @property
    def ready(self) -> Tree:
        """The condition that sums up all."""
        return condition_in(self.status, ConditionType.READY)

    @property
    def is_ready(self) -> bool:
        """Whether a client gets an answer."""
        return text(self.ready, "status") == "True"

    @property
    def hint(self) -> str:
        """What to do: what the failing part said itself, else what is advised for the reason."""
        if self.is_ready:
            return ""
        reason, failure = text(self.ready, "reason"), branch(self.status, "lastFailure")
        return text(failure, "hint") if text(failure, "reason") == reason else default_hint(reason)


def condition_in(status: Tree, type_: str) -> Tree:
    """A condition of a status; empty when there is none of that type."""
    return next((entry for entry in items(status, "conditions") if text(entry, "type") == type_), {})


def staleness(body: Tree, live: Tree) -> list[str]:
    """In which ways the status in the object is not what is true now."""
    told = branch(body, "status")
    generation, seen = number(body, "metadata", "generation"), number(told, "observedGeneration")
    if not items(told, "conditions"):
        return ["the operator has written no status yet"]
    if seen < generation:
        return [f"the status in the object is of generation {seen} of the spec, which is at {generation} now"]
    now, before = (condition_in(status, ConditionType.READY) for status in (live, told))
    if [now.get(key) for key in ("status", "reason")] == [before.get(key) for key in ("status", "reason")]:
        return []
    what = f"Ready={text(before, 'status')}, {text(before, 'reason')}"
    return [f"the status in the object still says {what}; the operator may be about to write it"]


async def gather(api: KubernetesApi, key: Key) -> Evidence:
    """Look at one ModelService. Raises NotFound when there is none, and ApiError when it cannot be read."""
    body = await api.get(MODEL_SERVICE, key.namespace, key.name)
    operator = asyncio.create_task(look_at_operator(api))
    notes: list[str] = []
    seen, status = await _judge(api, key, body, notes)
    raw = [*seen.pods, *seen.preflights] if seen else await _pods_alone(api, key, notes)
    about = {(MODEL_SERVICE.kind, key.name), (DEPLOYMENT.kind, key.name), *(seen.children if seen else ())}
    about |= {(POD.kind, pod["metadata"]["name"]) for pod in raw}
    warnings, log = await asyncio.gather(_warnings(api, key, about, notes), _log_end(api, key, raw, notes))
    return Evidence(body, status, tuple(map(report_pod, raw)), warnings, log, await operator, tuple(notes))


async def _judge(api: KubernetesApi, key: Key, body: Body, notes: list[str]) -> tuple[Observation | None, Tree]:
    """What is around the ModelService, and the status that follows; that of the object where that may not be read."""
    try:
        facts, note = await read_facts(api, {})
        around = await look_around(api, key, facts.optional_kinds, ())
        await add_service(api, around, body)
    except Forbidden as error:
        notes.append(f"the verdict is the operator's last one, since not all may be read: {error.message}")
        return None, branch(body, "status")
    notes += [note] if note else []
    seen = observe(around.cache, key)
    if seen is None:
        notes.append("the ModelService is being deleted")
        return None, branch(body, "status")
    if seen.service is None:
        unread = seen.error or SpecError(Reason.INVALID_SPEC, "", "the object cannot be read")
        return seen, rejected_status(body, unread, datetime.now(UTC))
    return seen, await _status(api, seen, facts, around, notes)


async def _pods_alone(api: KubernetesApi, key: Key, notes: list[str]) -> list[Body]:
    """The pods of the model and of its preflights, projected; none where they may not be read."""
    try:
        found = [
            await list_all(api, resource, key.namespace) for resource in (pods_of(key.name), preflights_of(key.name))
        ]
    except ApiError as error:
        notes.append(f"pods could not be read: {error.message}")
        return []
    return [project(POD.kind, pod) for pods in found for pod in pods]


async def _status(
    api: KubernetesApi, seen: Observation, facts: Facts, around: Surroundings, notes: list[str]
) -> dict[str, Any]:
    assert seen.service is not None  # noqa: S101  (its caller tells the other case)
    decision = await decide_on(api, seen, facts, around)
    failures = await _try_open(api, decision, notes)
    state = ObservedState(seen.children, seen.pods, None, decision.plan, decision.error, facts, decision.gate)
    return compute_status(seen.service, seen.profile, state, ApplyResults(failures), datetime.now(UTC))


async def _try_open(api: KubernetesApi, decision: Decision, notes: list[str]) -> tuple[Failure, ...]:
    """What the API server says against the children that are still to be applied, by dry runs."""
    failures = []
    for action in decision.plan.actions if decision.plan else ():
        if not isinstance(action, Apply):
            continue
        try:
            await api.apply(child_resource(BY_KIND[action.kind]), action.manifest)
        except (Invalid, Conflict) as error:
            failures.append(Failure(action.kind, action.name, error.message, error.code))
        except Forbidden as error:
            notes.append(f"whether {action.kind} {action.name} can be applied was not tried: {error.message}")
    return tuple(failures)


async def _warnings(
    api: KubernetesApi, key: Key, about: set[tuple[str, str]], notes: list[str]
) -> tuple[WarningEvent, ...]:
    try:
        return select_warnings(await list_all(api, WARNING_EVENT, key.namespace), about)
    except ApiError as error:
        notes.append(f"events could not be read: {error.message}")
        return ()


async def _log_end(api: KubernetesApi, key: Key, pods: Sequence[Body], notes: list[str]) -> LogEnd | None:
    """The log of the first container that fails, else of the first that starts."""
    asked = [(text(pod, "metadata", "name"), found) for pod in pods if (found := failing_container(pod))]
    failing = {pod.name for pod in map(report_pod, pods) if pod.found}
    ordered = sorted(asked, key=lambda entry: entry[0] not in failing)
    for name, container, previous in _with_later_logs(ordered):
        try:
            said = await api.read_log(key.namespace, name, container, _LOG_LINES, previous)
        except ApiError as error:
            notes.append(f"the log of {container} in {name} could not be read: {error.message}")
            continue
        if said.strip():
            return LogEnd(name, container, previous, tuple(said.strip().splitlines()))
    return None


def _with_later_logs(asked: Iterable[tuple[str, tuple[str, bool]]]) -> Iterator[tuple[str, str, bool]]:
    """The logs to read, in order: a node may have dropped that of a container's last end, and have the next."""
    for name, (container, previous) in asked:
        yield name, container, previous
        if previous:
            yield name, container, False
