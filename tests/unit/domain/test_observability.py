"""Alerts and the dashboard: what they ask Prometheus, when they are there, and how they are found."""

import json
import re
from typing import Any

import pytest

from modelservice_operator.domain import Facts, desired, missing_kinds
from tests.support.builders import IMAGE, ModelServiceBuilder, make_modelservice, render_all

QUERY = {"type": "Custom", "query": "sum(rate(requests[1m]))", "target": "1"}


def _asking(**blocks: Any) -> ModelServiceBuilder:
    return make_modelservice().with_spec(observability=blocks)


def _rules(builder: ModelServiceBuilder) -> dict[str, dict[str, Any]]:
    manifest = next(body for body in render_all(builder.build()) if body["kind"] == "PrometheusRule")
    (group,) = manifest["spec"]["groups"]
    return {f"{rule['alert']} {rule['labels']['severity']}": rule for rule in group["rules"]}


def _board(builder: ModelServiceBuilder) -> dict[str, Any]:
    manifests = render_all(builder.build())
    return next(body for body in manifests if body["metadata"]["name"] == "chat-dashboard")


def test_every_trouble_has_its_alert() -> None:
    assert set(_rules(_asking(prometheusRule={}).with_gpu(1))) == {
        "ModelServiceNotReady critical",
        "ModelServiceCrashLooping critical",
        "ModelServiceErrorBudgetBurn critical",
        "ModelServiceErrorBudgetBurn warning",
        "ModelServiceLatencyHigh warning",
        "ModelServiceQueueSaturated warning",
        "ModelServiceKVCacheFull warning",
        "ModelServiceAcceleratorIdle info",
    }


def test_idle_accelerators_are_no_alert_when_there_are_none() -> None:
    assert "ModelServiceAcceleratorIdle info" not in _rules(_asking(prometheusRule={}))


def test_service_is_not_missed_when_no_replica_is_asked_for() -> None:
    assert "ModelServiceNotReady critical" not in _rules(_asking(prometheusRule={}).with_spec(replicas=0))


@pytest.mark.parametrize(
    "scaling", [{"idle": {"scaleToZeroAfterSeconds": 900}}, {"backend": "KEDA", "minReplicas": 0, "metrics": [QUERY]}]
)
def test_service_is_not_missed_when_it_may_have_no_replica(scaling: dict[str, Any]) -> None:
    asked = _asking(prometheusRule={})
    assert "ModelServiceNotReady critical" in _rules(asked.with_spec(autoscaling={"maxReplicas": 2}))
    assert "ModelServiceNotReady critical" not in _rules(asked.with_spec(autoscaling={"maxReplicas": 2, **scaling}))


def test_alerts_have_the_numbers_of_the_spec() -> None:
    rules = _rules(_asking(prometheusRule={"latencySeconds": 7, "errorPercent": 2}))
    assert rules["ModelServiceLatencyHigh warning"]["expr"].endswith("> 7")
    assert rules["ModelServiceErrorBudgetBurn critical"]["expr"].count("> 0.288") == 2


def test_burn_that_no_ratio_can_reach_is_left_out_when_the_budget_is_large() -> None:
    assert "ModelServiceErrorBudgetBurn critical" not in _rules(_asking(prometheusRule={"errorPercent": 10}))


def test_every_query_is_about_this_service_alone() -> None:
    builder = _asking(prometheusRule={}, dashboard={}).with_gpu(1)
    expressions = [rule["expr"] for rule in _rules(builder).values()]
    (text,) = _board(builder)["data"].values()
    expressions += [target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"]]
    for expression in expressions:
        metrics = re.findall(r"\b(?:inference|kube)_[a-z_]+{", expression)
        own = re.findall(r'{namespace="team",(?:service="chat"|pod=~"chat-)', expression)
        assert metrics
        assert len(metrics) == len(own)


@pytest.mark.parametrize(
    ("block", "labels"),
    [({}, {"grafana_dashboard": "1"}), ({"labels": {"my_boards": "yes"}}, {"my_boards": "yes"})],
)
def test_dashboard_carries_the_labels_that_the_sidecar_looks_for(block: dict[str, Any], labels: dict[str, str]) -> None:
    metadata = _board(_asking(dashboard=block))["metadata"]
    own = {key: value for key, value in metadata["labels"].items() if "/" not in key}
    assert own == labels
    assert "grafana_folder" not in metadata["annotations"]


def test_dashboard_goes_to_the_folder_of_the_spec() -> None:
    assert _board(_asking(dashboard={"folder": "Models"}))["metadata"]["annotations"]["grafana_folder"] == "Models"


def test_rule_is_left_out_and_told_when_its_kind_is_not_served() -> None:
    service = _asking(prometheusRule={}, dashboard={}).build()
    kinds = [child.kind.kind for child in desired(service, None, Facts(IMAGE))]
    assert "PrometheusRule" not in kinds
    assert kinds.count("ConfigMap") == 1
    assert missing_kinds(service, Facts(IMAGE)) == {"PrometheusRule"}
