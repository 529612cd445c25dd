"""The documents of the API, as autoscalers read them."""

from datetime import UTC, datetime

import pytest

from modelservice_operator.metrics_adapter.protocol import (
    BadSelector,
    quantity,
    read_selector,
    resource_list,
    value_list,
)

NOW = datetime(2026, 1, 31, 9, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (4, "4"), (2.5, "2500m"), (0.0001, "1m"), (1e6, "1000000"), (0.1 + 0.2, "300m")]
)
def test_number_is_a_quantity(value: float, text: str) -> None:
    assert quantity(value) == text


def test_selector_is_read_when_it_is_a_list_of_equalities() -> None:
    assert read_selector("") == {}
    assert read_selector("direction=completion, model==chat") == {"direction": "completion", "model": "chat"}
    with pytest.raises(BadSelector, match="label=value"):
        read_selector("direction in (prompt)")


def test_versions_name_their_metric_differently() -> None:
    old = value_list("v1beta1", "team", "m", [("chat-1", 4)], {}, NOW)
    new = value_list("v1beta2", "team", "m", [("chat-1", 4)], {"a": "b"}, NOW)
    assert old["items"][0]["metricName"] == "m"
    assert new["items"] == [
        {
            "describedObject": {"kind": "Pod", "namespace": "team", "name": "chat-1", "apiVersion": "/v1"},
            "metric": {"name": "m", "selector": {"matchLabels": {"a": "b"}}},
            "timestamp": "2026-01-31T09:00:00Z",
            "value": "4",
        }
    ]
    assert new["apiVersion"] == "custom.metrics.k8s.io/v1beta2"


def test_discovery_shows_metrics_of_pods() -> None:
    shown = resource_list("v1beta2")
    assert shown["groupVersion"] == "custom.metrics.k8s.io/v1beta2"
    assert "pods/inference_requests_queued" in {each["name"] for each in shown["resources"]}
