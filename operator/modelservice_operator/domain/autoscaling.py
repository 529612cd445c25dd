"""Metrics of a HorizontalPodAutoscaler."""

from collections.abc import Sequence
from typing import Any, Final

from ..api.v1alpha1 import ModelService
from ..api.v1alpha1.scaling import Metric, read_series
from .engine_metrics import MetricNames

RESOURCES: Final = {"CPU": "cpu", "Memory": "memory"}
"""The metrics that metrics-server measures, as autoscalers call them."""

_DEFAULT: Final = Metric(type="CPU", target="80%")


def is_autoscaled_by_us(service: ModelService) -> bool:
    """Whether the operator makes a HorizontalPodAutoscaler; it would start pods of a suspended service."""
    if service.spec.suspend:
        return False
    return service.spec.autoscaling is not None and service.spec.autoscaling.backend == "HPA"


def metrics_of(service: ModelService) -> Sequence[Metric]:
    """The metrics asked for; CPU at 80% of the request when none is."""
    block = service.spec.autoscaling
    return block.metrics if block and block.metrics else [_DEFAULT]


def hpa_metrics(service: ModelService, names: MetricNames) -> list[dict[str, Any]]:
    """The metrics as `autoscaling/v2` writes them."""
    return [_metric(metric, names) for metric in metrics_of(service)]


def _metric(metric: Metric, names: MetricNames) -> dict[str, Any]:
    if metric.type not in RESOURCES:
        return _pods_metric(metric, names)
    if metric.target.endswith("%"):
        target: dict[str, Any] = {"type": "Utilization", "averageUtilization": int(metric.target[:-1])}
    else:
        target = {"type": "AverageValue", "averageValue": metric.target}
    return {"type": "Resource", "resource": {"name": RESOURCES[metric.type], "target": target}}


def _pods_metric(metric: Metric, names: MetricNames) -> dict[str, Any]:
    """A metric that the pods tell themselves, as an average over them."""
    name, labels = read_series(metric.query) if metric.type == "Custom" else (names.gauge(metric.type), {})
    said: dict[str, Any] = {"name": name, "selector": {"matchLabels": labels}} if labels else {"name": name}
    return {"type": "Pods", "pods": {"metric": said, "target": {"type": "AverageValue", "averageValue": metric.target}}}
