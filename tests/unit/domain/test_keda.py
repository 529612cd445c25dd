"""Scaling by KEDA: what its ScaledObject asks, and what the status says of it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from modelservice_operator.domain import (
    ApplyResults,
    Facts,
    Observed,
    ObservedState,
    compute_status,
    desired,
    missing_kinds,
    plan,
)
from tests.support.builders import FACTS, OWNER_UID, make_children, make_modelservice, render_all

NOW = datetime(2026, 1, 31, 9, 0, 0, tzinfo=UTC)
QUEUE = [{"type": "QueueDepth", "target": "4"}]


def _service(**autoscaling: Any) -> Any:
    block = {"backend": "KEDA", "maxReplicas": 3, "metrics": QUEUE, **autoscaling}
    return make_modelservice().with_spec(autoscaling=block).build()


def _kinds(service: Any, facts: Facts) -> set[str]:
    return {child.kind.kind for child in desired(service, None, facts)}


def _condition(service: Any, type_: str, facts: Facts = FACTS, ready: dict[str, str] | None = None) -> dict[str, Any]:
    children = make_children(render_all(service, None, facts))
    if ready is not None:
        children["ScaledObject", "chat"]["status"] = {"conditions": [{"type": "Ready", **ready}]}
    steps = plan(render_all(service, None, facts), Observed(OWNER_UID, children))
    state = ObservedState(children, (), None, steps, None, facts)
    status = compute_status(service, None, state, ApplyResults(), NOW)
    return next((entry for entry in status["conditions"] if entry["type"] == type_), {})


def test_queue_is_summed_over_the_pods_of_the_service_alone() -> None:
    child = next(c for c in desired(_service(), None, FACTS) if c.kind.kind == "ScaledObject")
    (trigger,) = child.values["triggers"]
    assert trigger["metadata"] == {
        "serverAddress": "http://prometheus.monitoring:9090",
        "query": 'sum(inference_requests_queued{namespace="team",service="chat"})',
        "threshold": "4",
    }


def test_no_scaled_object_is_asked_for_when_its_definition_is_missing() -> None:
    facts = replace(FACTS, optional_kinds=frozenset())
    service = _service()
    assert "ScaledObject" not in _kinds(service, facts)
    assert missing_kinds(service, facts) == {"ScaledObject"}
    said = _condition(service, "AutoscalerReady", facts)
    assert (said["status"], said["reason"]) == ("False", "CRDMissing")
    assert "install KEDA" in said["message"]
    assert _condition(service, "NetworkReady", facts)["reason"] == "Reachable"


def test_missing_prometheus_is_told_when_a_metric_has_to_be_asked_of_it() -> None:
    facts = replace(FACTS, prometheus_url="")
    assert "ScaledObject" not in _kinds(_service(), facts)
    assert "ScaledObject" in _kinds(_service(metrics=[]), facts)
    said = _condition(_service(), "AutoscalerReady", facts)
    assert said["reason"] == "MetricsUnavailable"
    assert "operator.prometheusUrl" in said["message"]


@pytest.mark.parametrize(
    ("ready", "said"),
    [
        (None, ("Unknown", "Pending")),
        ({"status": "Unknown"}, ("Unknown", "Pending")),
        ({"status": "True"}, ("True", "ScalingActive")),
        ({"status": "False", "message": "connection refused"}, ("False", "MetricsUnavailable")),
        (
            {"status": "False", "message": "the workload 'chat' is already managed by the hpa 'other'"},
            ("False", "Conflict"),
        ),
    ],
)
def test_condition_repeats_what_keda_says(ready: dict[str, str] | None, said: tuple[str, str]) -> None:
    found = _condition(_service(), "AutoscalerReady", ready=ready)
    assert (found["status"], found["reason"]) == said
    if ready and "message" in ready:
        assert found["message"] == ready["message"]


def test_nothing_scales_a_suspended_service() -> None:
    service = make_modelservice().with_spec(autoscaling={"backend": "KEDA", "maxReplicas": 3}, suspend=True).build()
    assert "ScaledObject" not in _kinds(service, FACTS)
    assert missing_kinds(service, replace(FACTS, optional_kinds=frozenset())) == frozenset()
    assert _condition(service, "AutoscalerReady") == {}


def test_zero_replicas_are_told_as_the_autoscalers_choice() -> None:
    metrics = [{"type": "Custom", "target": "1", "query": "sum(requests)"}]
    service = _service(minReplicas=0, metrics=metrics)
    manifests = render_all(service)
    children = make_children(manifests)
    children["Deployment", "chat"]["spec"]["replicas"] = 0
    state = ObservedState(children, (), None, plan(manifests, Observed(OWNER_UID, children)), None, FACTS)
    status = compute_status(service, None, state, ApplyResults(), NOW)
    ready = next(entry for entry in status["conditions"] if entry["type"] == "Ready")
    assert ready["reason"] == "ScaledToZero"
    assert "autoscaler" in ready["message"]
