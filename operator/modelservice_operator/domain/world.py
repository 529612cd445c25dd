"""Everything that the status is computed from, gathered once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..api.kinds import DEPLOYMENT
from ..api.names import CANARY, child_name, track_name
from ..api.reasons import ConditionType, Reason
from ..api.v1alpha1 import ModelService, RuntimeProfile
from .desired import missing_kinds
from .diagnose import Diagnosis
from .errors import SpecError
from .facts import Facts
from .idle import idle_seconds, is_at_zero
from .placement import devices_of
from .plan import ChildKey, Plan
from .pods import Pods, condition, is_of_canary, sort_pods
from .preflight import OPEN, Gate
from .rollout import wanted_replicas
from .tree import Tree, branch, number, text

RuntimeReport = Mapping[str, Any]
"""The JSON of the admin port's `/status`."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A child that could not be applied or deleted. `code` is the HTTP status, 0 without an answer."""

    kind: str
    name: str
    message: str
    code: int = 0


@dataclass(frozen=True, slots=True)
class ApplyResults:
    """What became of a plan's actions: those that failed."""

    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class Calls:
    """Requests that pods have answered, and how many of them the server failed."""

    failed: float = 0.0
    ended: float = 0.0

    @property
    def failed_share(self) -> float:
        """From 0 to 1; 0 without any request."""
        return self.failed / self.ended if self.ended else 0.0


@dataclass(frozen=True, slots=True)
class ObservedState:
    """What is known of the cluster after the applies, all of it projected.

    `pods` are those of the model, `runtime` is the report of the newest ready one. Of `plan` and `error` one is set.
    `seen_at` and `calls`, those of the revision that served and of a canary, are known where a canary is promoted.
    """

    children: Mapping[ChildKey, Mapping[str, Any]]
    pods: Sequence[Mapping[str, Any]]
    runtime: RuntimeReport | None = None
    plan: Plan | None = None
    error: SpecError | None = None
    facts: Facts | None = None
    gate: Gate = OPEN
    seen_at: datetime | None = None
    calls: tuple[Calls, Calls] | None = None


@dataclass(frozen=True)
class World:
    """One ModelService and what is around it, with what every check needs worked out.

    `canary` is the Deployment of a canary, if there is one.
    """

    service: ModelService
    profile: RuntimeProfile | None
    state: ObservedState
    results: ApplyResults
    deployment: Tree
    pods: Pods
    failures: Sequence[tuple[Tree, Diagnosis]] = field(default_factory=list)
    canary: Tree = field(default_factory=dict)
    canary_pods: Pods = field(default_factory=Pods)

    @property
    def is_autoscaled(self) -> bool:
        """Whether an autoscaler owns the number of replicas."""
        return self.service.spec.autoscaling is not None

    @property
    def is_idle(self) -> bool:
        """Whether there is no replica because no requests come."""
        return idle_seconds(self.service) is not None and is_at_zero(self.deployment)

    @property
    def wanted(self) -> int:
        """How many replicas there should be now."""
        fixed = wanted_replicas(self.service)
        if fixed is not None:
            return fixed
        live = branch(self.deployment, "spec").get("replicas")
        return live if isinstance(live, int) else 1

    @property
    def needed(self) -> int:
        """How many ready replicas make the service ready: all, or an autoscaler's fewest."""
        block = self.service.spec.autoscaling
        return self.own if block is None else min(self.own, max(1, block.min_replicas))

    @property
    def own(self) -> int:
        """How many of the wanted replicas the Deployment should have, beside those of a canary."""
        live = branch(self.deployment, "spec").get("replicas")
        return min(self.wanted, live) if self.canary and isinstance(live, int) else self.wanted

    @property
    def is_deployment_current(self) -> bool:
        """Whether the Deployment controller has seen the Deployment as it is now."""
        return _is_seen(self.deployment)

    @property
    def canary_serving(self) -> bool:
        """Whether every replica of the canary answers."""
        wanted = number(self.canary, "spec", "replicas")
        return _is_seen(self.canary) and self.canary_pods.ready >= wanted > 0

    @property
    def is_serving(self) -> bool:
        """Whether enough pods of the current revision are ready and none of an earlier one answers any more."""
        if not self.is_deployment_current or self.pods.earlier_ready:
            return False
        counts = (number(self.deployment, "status", key) for key in ("updatedReplicas", "readyReplicas"))
        return min(self.pods.ready, *counts) >= self.needed

    @property
    def has_missed_deadline(self) -> bool:
        """Whether the revision that is rolled out, or is tried as a canary, was not ready in its time."""
        return any(is_late(*entry) for entry in ((self.deployment, self.pods), (self.canary, self.canary_pods)))

    @property
    def missing_kinds(self) -> frozenset[str]:
        """Optional kinds that the spec asks for and the cluster does not serve."""
        return missing_kinds(self.service, self.state.facts) if self.state.facts else frozenset()

    @property
    def is_simulated(self) -> bool:
        """Whether the CPU stands in for the accelerator."""
        count, _ = devices_of(self.service, self.profile)
        return bool(count and self.profile and self.profile.spec.simulated)

    def failure_for(self, type_: ConditionType) -> tuple[Tree, Diagnosis] | None:
        """A failing pod whose diagnosis belongs to a condition."""
        return next((entry for entry in self.failures if condition_of(entry[1]) is type_), None)


def look_at(
    service: ModelService, profile: RuntimeProfile | None, state: ObservedState, results: ApplyResults
) -> World:
    """Gather the world."""
    key = DEPLOYMENT.kind, child_name(DEPLOYMENT.kind, service.metadata.name)
    deployment = state.children.get(key) or {}
    canary = state.children.get((DEPLOYMENT.kind, track_name(service.metadata.name, CANARY))) or {}
    pods = sort_pods([pod for pod in state.pods if not is_of_canary(pod)], deployment)
    tried = sort_pods([pod for pod in state.pods if is_of_canary(pod)], canary)
    kept_out = [state.gate.failure] if state.gate.failure is not None else []
    failures = [*kept_out, *pods.failures(), *tried.failures()]
    return World(service, profile, state, results, deployment, pods, failures, canary, tried)


def _is_seen(deployment: Tree) -> bool:
    """Whether the Deployment controller has seen a Deployment as it is now."""
    seen = number(deployment, "status", "observedGeneration")
    return bool(deployment) and seen >= number(deployment, "metadata", "generation")


def is_late(deployment: Tree, pods: Pods) -> bool:
    """Whether the deadline passed; it may be told of the revision before, but the ReplicaSet is named."""
    said = condition(deployment, "Progressing")
    if text(said, "reason") != "ProgressDeadlineExceeded" or not _is_seen(deployment):
        return False
    message, name = text(said, "message"), f'"{text(deployment, "metadata", "name")}-{pods.revision}"'
    return not pods.revision or "ReplicaSet" not in message or name in message


_CONDITIONS: dict[Reason, ConditionType] = {
    Reason.SECRET_NOT_FOUND: ConditionType.SPEC_VALID,
    Reason.MODEL_NOT_FOUND: ConditionType.MODEL_AVAILABLE,
    Reason.MODEL_AUTH_FAILED: ConditionType.MODEL_AVAILABLE,
    Reason.MODEL_GATED: ConditionType.MODEL_AVAILABLE,
    Reason.CHECKSUM_MISMATCH: ConditionType.MODEL_AVAILABLE,
    Reason.DISK_FULL: ConditionType.MODEL_AVAILABLE,
    Reason.LOADER_OOM_KILLED: ConditionType.MODEL_AVAILABLE,
    Reason.UNSUPPORTED_MODEL: ConditionType.MODEL_AVAILABLE,
    Reason.SOURCE_UNAVAILABLE: ConditionType.MODEL_AVAILABLE,
    Reason.MODEL_TOO_LARGE: ConditionType.MODEL_AVAILABLE,
    Reason.INSUFFICIENT_GPU: ConditionType.SCHEDULED,
    Reason.INSUFFICIENT_RESOURCES: ConditionType.SCHEDULED,
    Reason.UNTOLERATED_TAINT: ConditionType.SCHEDULED,
    Reason.NO_MATCHING_NODE: ConditionType.SCHEDULED,
    Reason.CLAIM_PENDING: ConditionType.SCHEDULED,
    Reason.GOLDEN_REQUEST_FAILED: ConditionType.VERIFIED,
}


def condition_of(diagnosis: Diagnosis) -> ConditionType:
    """The condition that a diagnosis makes False."""
    before = diagnosis.component in ("fetch", "preflight")
    fallback = ConditionType.MODEL_AVAILABLE if before else ConditionType.RUNTIME_READY
    return _CONDITIONS.get(diagnosis.reason, fallback)
