"""The conditions: an ordered chain of pure checks, each returning a verdict with its reason and message.

The shape is that of cert-manager's policy chain. Messages of states that are merely under way stay the same from one
pod event to the next, so that a start costs one status write and not ten.
"""

from collections.abc import Callable, Sequence
from typing import Final

from ..api import kinds
from ..api.names import child_name, service_url
from ..api.reasons import DETAILS, ConditionType, Reason
from ..api.uri import ModelUri
from .diagnose import Diagnosis
from .fit import fit_message
from .idle import idle_seconds
from .plan import ChildState
from .pods import condition, has_fetched, is_placed, missing_claims
from .rollout_checks import has_verdict, progressing, verified
from .scaling_checks import autoscaler_ready, describe_no_way_back, has_autoscaler, has_way_back
from .tree import Tree, items, number, text
from .verdict import Verdict
from .verdict import bad as _bad
from .verdict import good as _good
from .verdict import unknown as _unknown
from .world import World

_SHOWN_FIELDS: Final = 8
_LONGEST: Final = 8192
"""Characters of a message about drift."""


def judge(world: World) -> dict[ConditionType, Verdict]:
    """Run every check that applies; Ready comes last and repeats the first failing one."""
    verdicts = {type_: check(world) for type_, check in _CHAIN.items() if _applies(type_, world)}
    return {**verdicts, ConditionType.READY: _ready(world, verdicts)}


def _applies(type_: ConditionType, world: World) -> bool:
    if type_ is ConditionType.SUSPENDED:
        return world.service.spec.suspend
    if type_ is ConditionType.IDLE:
        return world.is_idle
    if type_ is ConditionType.VERIFIED:
        return has_verdict(world)
    return type_ is not ConditionType.AUTOSCALER_READY or has_autoscaler(world)


def _failed(failure: tuple[Tree, Diagnosis]) -> Verdict:
    return _bad(failure[1].reason, failure[1].message)


def _spec_valid(world: World) -> Verdict:
    error, plan = world.state.error, world.state.plan
    if error is not None:
        return _bad(error.reason, str(error))
    if plan is not None and plan.conflicts:
        return _bad(Reason.NAME_CONFLICT, "; ".join(conflict.message for conflict in plan.conflicts))
    if failure := world.failure_for(ConditionType.SPEC_VALID):
        return _failed(failure)
    refused = condition(world.deployment, "ReplicaFailure")
    if text(refused, "status") == "True" and world.is_deployment_current:
        message = text(refused, "message")
        return _bad(Reason.QUOTA_EXCEEDED if "exceeded quota" in message else Reason.APPLY_FAILED, message)
    return _good(Reason.ACCEPTED)


def _model_available(world: World) -> Verdict:
    if failure := world.failure_for(ConditionType.MODEL_AVAILABLE):
        return _failed(failure)
    uri = ModelUri.parse(world.service.spec.model.uri)
    if world.state.gate.failure is not None:
        return _unknown("The preflight, which looks the model up, does not run")
    if not world.state.gate.is_open:
        return _bad(Reason.RESOLVING, f"The model is being looked up at {uri.scheme}://{uri.location}")
    if world.wanted == 0:
        return _unknown("No replica is asked for")
    if world.pods.ready:
        return _good(Reason.AVAILABLE, _fit(world))
    placed = [pod for pod in world.pods.current if is_placed(pod)]
    if not uri.is_remote or not placed or world.failures:
        return _unknown("The model is read when the server starts")
    if all(map(has_fetched, placed)):
        return _good(Reason.AVAILABLE, _fit(world))
    return _bad(Reason.DOWNLOADING, f"The model is being fetched from {uri.scheme}://{uri.location}")


def _fit(world: World) -> str:
    """What a preflight knows of the model's size; empty without one."""
    found = world.state.gate.found
    size = fit_message(world.service, world.profile, found) if found else ""
    return f"{DETAILS[Reason.AVAILABLE].description.rstrip('.')}: {size}" if size else ""


def _scheduled(world: World) -> Verdict:
    if failure := world.failure_for(ConditionType.SCHEDULED):
        return _failed(failure)
    if world.wanted == 0:
        return _unknown("No replica is asked for")
    if world.pods.current and all(map(is_placed, world.pods.current)):
        return _good(Reason.ASSIGNED)
    if claims := next(filter(None, map(missing_claims, world.pods.current)), []):
        return _bad(Reason.CLAIM_PENDING, f"The scheduler waits for ResourceClaims: {', '.join(claims)}")
    return _unknown("Waiting for the scheduler")


def _runtime_ready(world: World) -> Verdict:
    if failure := world.failure_for(ConditionType.RUNTIME_READY):
        return _failed(failure)
    if world.wanted == 0:
        return _no_replica(world)
    refused = [failure for failure in world.results.failures if failure.kind == kinds.DEPLOYMENT.kind]
    if refused and not world.deployment:
        return _bad(Reason.APPLY_FAILED, f"The Deployment {refused[0].name} could not be made: {refused[0].message}")
    if world.canary and not world.canary_serving:
        return _bad(Reason.STARTING, "Waiting until the canary is ready; the revision before serves meanwhile")
    if world.is_serving:
        return _good(Reason.SERVING, _simulation(world))
    what = "the server starts" if world.needed == 1 else f"{world.needed} replicas are ready"
    serving = "; the previous revision serves meanwhile" if world.pods.earlier_ready else ""
    return _bad(Reason.STARTING, f"Waiting until {what}{serving}")


def _no_replica(world: World) -> Verdict:
    if world.service.spec.suspend:
        return _bad(Reason.SUSPENDED)
    if world.is_idle:
        return _bad(Reason.SCALED_TO_ZERO, _idle(world).message)
    if world.is_autoscaled and world.service.spec.replicas is None:
        return _bad(Reason.SCALED_TO_ZERO, "The autoscaler asks for no replica until there is work")
    return _bad(Reason.SCALED_TO_ZERO)


def _simulation(world: World) -> str:
    if not world.is_simulated:
        return ""
    return "The server is ready; its accelerator is simulated, the CPU computes"


def _network_ready(world: World) -> Verdict:
    name = world.service.metadata.name
    service = world.state.children.get((kinds.SERVICE.kind, child_name(kinds.SERVICE.kind, name)))
    if service is None:
        return _bad(Reason.SERVICE_MISSING)
    if unserved := world.missing_kinds - {kinds.SCALED_OBJECT.kind}:
        missing = ", ".join(sorted(unserved))
        message = f"The cluster does not serve {missing}; install its CRD or remove the block of the spec"
        return Verdict("False", Reason.CRD_MISSING, message, is_soft=True)
    if problem := _route_problem(world):
        return _bad(Reason.ROUTE_NOT_ACCEPTED, problem)
    port = world.service.spec.network.service.port
    return _good(
        Reason.REACHABLE, f"The Service answers at {service_url(name, world.service.metadata.namespace, port)}"
    )


def _route_problem(world: World) -> str:
    """What keeps a gateway from sending requests by the HTTPRoute; empty when nothing does, or there is to be none."""
    block = world.service.spec.network.http_route
    if block is None:
        return ""
    name = child_name(kinds.HTTP_ROUTE.kind, world.service.metadata.name)
    parents = items(world.state.children.get((kinds.HTTP_ROUTE.kind, name)) or {}, "status", "parents")
    for parent in parents:
        for found in items(parent, "conditions"):
            if text(found, "type") in ("Accepted", "ResolvedRefs") and text(found, "status") == "False":
                gateway = text(parent, "parentRef", "name")
                return f"Gateway {gateway}: {text(found, 'message') or text(found, 'reason')}"
    silent = {parent.name for parent in block.parent_refs} - {text(parent, "parentRef", "name") for parent in parents}
    return f"No controller has answered for the Gateway {', '.join(sorted(silent))} yet" if silent else ""


def _in_sync(world: World) -> Verdict:
    if world.results.failures:
        told = "; ".join(f"{failure.kind} {failure.name}: {failure.message}" for failure in world.results.failures)
        return _bad(Reason.APPLY_FAILED, told)
    plan = world.state.plan
    if plan is None:
        return _unknown("The children are left as they are until the spec is valid")
    deleting = ", ".join(f"{child.kind} {child.name}" for child in plan.children if child.state == "Deleting")
    if deleting:
        return _bad(Reason.DRIFT_DETECTED, f"Being deleted: {deleting}")
    if plan.conflicts:
        return _unknown("A name is taken; see SpecValid")
    if drifted := [child for child in plan.children if child.drift]:
        return _bad(Reason.DRIFT_DETECTED, _drift(drifted), is_soft=True)
    return _good(Reason.APPLIED)


def _drift(drifted: Sequence[ChildState]) -> str:
    """What others changed, child by child."""
    told = []
    for child in drifted:
        fields = [field.message for field in child.drift[:_SHOWN_FIELDS]]
        more = len(child.drift) - len(fields)
        told.append(f"{child.kind} {child.name}: {', '.join(fields)}{f' and {more} more' if more > 0 else ''}")
    return f"Left as others changed it (driftPolicy Report): {'; '.join(told)}"[:_LONGEST]


def _suspended(world: World) -> Verdict:
    left = number(world.deployment, "status", "replicas")
    return _good(Reason.SUSPENDED, f"{left} pods are still ending" if left else "")


def _idle(world: World) -> Verdict:
    """Only asked of a service that has no replica for want of requests."""
    quiet = f"No request came for {idle_seconds(world.service)} s"
    if has_way_back(world):
        return _good(Reason.SCALED_TO_ZERO, f"{quiet}; the next one is held and starts a pod")
    return _good(Reason.NO_ACTIVATOR, f"{quiet}; {describe_no_way_back(world)}")


_CHAIN: Final[dict[ConditionType, Callable[[World], Verdict]]] = {
    ConditionType.SPEC_VALID: _spec_valid,
    ConditionType.MODEL_AVAILABLE: _model_available,
    ConditionType.SCHEDULED: _scheduled,
    ConditionType.VERIFIED: verified,
    ConditionType.RUNTIME_READY: _runtime_ready,
    ConditionType.PROGRESSING: progressing,
    ConditionType.NETWORK_READY: _network_ready,
    ConditionType.AUTOSCALER_READY: autoscaler_ready,
    ConditionType.IN_SYNC: _in_sync,
    ConditionType.SUSPENDED: _suspended,
    ConditionType.IDLE: _idle,
}
"""The checks in the order in which Ready looks for the first failing one."""

_MAY_BE_UNKNOWN: Final = frozenset({ConditionType.AUTOSCALER_READY})
"""A model answers before its autoscaler has looked at it for the first time."""


def _ready(world: World, verdicts: dict[ConditionType, Verdict]) -> Verdict:
    hard = [verdict for verdict in verdicts.values() if verdict.status == "False" and not verdict.is_soft]
    open_ = [v for type_, v in verdicts.items() if v.status == "Unknown" and type_ not in _MAY_BE_UNKNOWN]
    first = next(iter(hard or open_), None)
    if first is not None:
        return Verdict("False", first.reason, first.message)
    return _good(Reason.READY, _ready_message(world, verdicts))


def _ready_message(world: World, verdicts: dict[ConditionType, Verdict]) -> str:
    said = [DETAILS[Reason.READY].description.rstrip(".")]
    if world.is_simulated:
        said.append("its accelerator is simulated, the CPU computes")
    said += [verdict.message for verdict in verdicts.values() if verdict.is_soft and verdict.status == "False"]
    return "; ".join(said)
