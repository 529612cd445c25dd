"""Which children a ModelService should have, and the values that fill their templates. Pure: a spec in, specs out."""

from collections.abc import Iterator
from typing import Any

from ..api import kinds, names
from ..api.kinds import ChildKind
from ..api.reasons import Reason
from ..api.v1alpha1 import ModelService, RuntimeProfile
from .asked import asked_digest
from .autoscaling import hpa_metrics, is_autoscaled_by_us
from .cache import require_cache
from .engine_metrics import MetricNames, metric_names, metrics_page
from .engines import require_server, server_of
from .errors import SpecError
from .facts import ChildSpec, Facts
from .idle import AWAKE, Rest, door_slices
from .keda import is_scaled_by_keda, scaled_object
from .network import front_service, http_route, ingress, network_policy
from .observability import dashboard, prometheus_rule, service_monitor
from .placement import place
from .preflight import HELD, OPEN, Gate
from .rollout import wanted_replicas
from .settings import runtime_settings, settings_text
from .workload import deployment_values


def desired(
    service: ModelService, profile: RuntimeProfile | None, facts: Facts, gate: Gate = OPEN, rest: Rest = AWAKE
) -> tuple[ChildSpec, ...]:
    """The children of a ModelService, in the order in which they are applied.

    `profile` is the one that the spec names, else the default one, else None. Behind a closed gate the Deployment and
    what belongs to it are not among them; `rest` says whether it has pods and which way leads to the activator. Raises
    SpecError when the spec cannot be carried out.
    """
    _require_profile(service, profile)
    require_server(service, profile)
    _require_trust(service, profile)
    found = gate.found.resolved_revision if gate.found else ""
    require_cache(service, facts, found, is_looked_up=gate.is_open)
    placement = place(service, profile)
    settings = settings_text(runtime_settings(service, placement))
    series = metric_names(profile)
    values: dict[ChildKind, dict[str, Any] | None] = {
        kinds.SERVICE_ACCOUNT: {} if not service.spec.security.service_account_name else None,
        kinds.DEPLOYMENT: {
            **deployment_values(service, profile, facts, placement, settings, gate.found),
            **_standing(service, gate, rest),
        },
        kinds.SERVICE: front_service(service, profile),
        kinds.HORIZONTAL_POD_AUTOSCALER: _autoscaler(service, series),
        kinds.SCALED_OBJECT: scaled_object(service, facts, series),
        kinds.POD_DISRUPTION_BUDGET: _disruption_budget(service),
        kinds.NETWORK_POLICY: network_policy(service, profile, facts),
        kinds.INGRESS: ingress(service),
        kinds.HTTP_ROUTE: http_route(service),
        kinds.SERVICE_MONITOR: service_monitor(service, metrics_page(server_of(profile))),
        kinds.PROMETHEUS_RULE: prometheus_rule(service, placement, series),
    }
    held = () if gate.is_open else HELD
    children = [
        _child(service, kind, names.child_name(kind.kind, service.metadata.name), values[kind] or {})
        for kind in kinds.CHILD_KINDS
        if values.get(kind) is not None and kind not in held and _is_served(kind, facts)
    ]
    return (*children, *_children_of_other_names(service, series, gate, rest))


def _children_of_other_names(service: ModelService, series: MetricNames, gate: Gate, rest: Rest) -> Iterator[ChildSpec]:
    board = dashboard(service, series)
    if board is not None:
        yield _child(service, kinds.CONFIG_MAP, names.dashboard_name(service.metadata.name), board)
    if gate.job is not None and gate.is_job_wanted:
        yield _child(service, kinds.JOB, gate.job.name, gate.job.values)
    for name, values in door_slices(service, rest.door) if rest.door else ():
        yield _child(service, kinds.ENDPOINT_SLICE, name, values)


def _require_profile(service: ModelService, profile: RuntimeProfile | None) -> None:
    reference = service.spec.runtime.profile_ref
    if reference is not None and profile is None:
        message = (
            f"RuntimeProfile {reference.name!r} does not exist; create it, or name one of `kubectl get runtimeprofiles`"
        )
        raise SpecError(Reason.PROFILE_NOT_FOUND, "spec.runtime.profileRef.name", message)


def _require_trust(service: ModelService, profile: RuntimeProfile | None) -> None:
    """Code that comes with a model runs only where the owner of the cluster allows it, in a RuntimeProfile."""
    if not service.spec.model.trust_remote_code or (profile is not None and profile.spec.allow_remote_code):
        return
    why = f"RuntimeProfile {profile.metadata.name!r} does not allow it" if profile else "no RuntimeProfile is in use"
    message = (
        f"code that comes with the model is not run, because {why}; name one with spec.allowRemoteCode: true in "
        "spec.runtime.profileRef, or remove it"
    )
    raise SpecError(Reason.REMOTE_CODE_NOT_ALLOWED, "spec.model.trustRemoteCode", message)


def missing_kinds(service: ModelService, facts: Facts) -> frozenset[str]:
    """The optional kinds that the spec asks for and the cluster does not serve."""
    observability = service.spec.observability
    blocks = {
        kinds.HTTP_ROUTE.kind: service.spec.network.http_route,
        kinds.SERVICE_MONITOR.kind: observability.service_monitor,
        kinds.PROMETHEUS_RULE.kind: observability.prometheus_rule,
    }
    wanted = {kind for kind, block in blocks.items() if block is not None}
    if is_scaled_by_keda(service):
        wanted.add(kinds.SCALED_OBJECT.kind)
    return frozenset(wanted) - facts.optional_kinds


def _is_served(kind: ChildKind, facts: Facts) -> bool:
    return not kind.optional or kind.kind in facts.optional_kinds


def _child(service: ModelService, kind: ChildKind, name: str, values: dict[str, Any]) -> ChildSpec:
    metadata = {
        "name": name,
        "namespace": service.metadata.namespace,
        "labels": {**values.get("labels", {}), **names.child_labels(service.metadata.name)},
        "annotations": values.get("annotations", {}),
        "owner": {
            "apiVersion": names.API_VERSION,
            "kind": "ModelService",
            "name": service.metadata.name,
            "uid": service.metadata.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        },
    }
    return ChildSpec(kind, name, f"{kind.kind.lower()}.yaml.j2", {**values, "metadata": metadata})


def _standing(service: ModelService, gate: Gate, rest: Rest) -> dict[str, Any]:
    """The values of the Deployment that do not come from the spec alone."""
    idle = "true" if rest.at_zero else ""
    marks = {names.PREFLIGHT: gate.mark, names.IDLE: idle, names.ASKED: asked_digest(service)}
    annotations = {key: mark for key, mark in marks.items() if mark}
    return {"annotations": annotations, "replicas": 0 if rest.at_zero else wanted_replicas(service)}


def _autoscaler(service: ModelService, series: MetricNames) -> dict[str, Any] | None:
    block = service.spec.autoscaling
    if block is None or not is_autoscaled_by_us(service):
        return None
    return {
        "target": service.metadata.name,
        "min_replicas": max(1, block.min_replicas),
        "max_replicas": block.max_replicas,
        "metrics": hpa_metrics(service, series),
        "behavior": block.behavior,
    }


def _disruption_budget(service: ModelService) -> dict[str, Any] | None:
    block = service.spec.availability
    if block is None:
        return None
    return {"min_available": block.min_available, "selector": names.selector_labels(service.metadata.name)}
