"""Values of a ScaledObject, by which KEDA scales the Deployment.

CPU and memory are left to metrics-server, as with a HorizontalPodAutoscaler. Everything else is asked of Prometheus:
KEDA divides the result of a query by the number of pods, so that the queries are sums over all of them.
"""

from typing import Any, Final

from ..api import names
from ..api.v1alpha1 import ModelService
from ..api.v1alpha1.scaling import Metric
from .autoscaling import RESOURCES, metrics_of
from .engine_metrics import MetricNames
from .facts import Facts
from .queries import Queries

_KEEP_OFF: Final = {
    "scaledobject.keda.sh/hpa-excluded-labels": ",".join((names.LABEL_MANAGED_BY, names.LABEL_NAME, names.LABEL_APP))
}
"""KEDA copies labels to the HorizontalPodAutoscaler that it makes, which is not the operator's."""


def is_scaled_by_keda(service: ModelService) -> bool:
    """Whether KEDA owns the number of replicas; it would start pods of a suspended service."""
    block = service.spec.autoscaling
    return block is not None and block.backend == "KEDA" and not service.spec.suspend


def lacks_prometheus(service: ModelService, facts: Facts) -> bool:
    """Whether a metric has to be asked of Prometheus and nobody has told where that is."""
    return not facts.prometheus_url and any(metric.type not in RESOURCES for metric in metrics_of(service))


def scaled_object(service: ModelService, facts: Facts, series: MetricNames) -> dict[str, Any] | None:
    """The ScaledObject; None when there is to be none, or one of its metrics could never be read."""
    block = service.spec.autoscaling
    if block is None or not is_scaled_by_keda(service) or lacks_prometheus(service, facts):
        return None
    queries = Queries(service.metadata.namespace, service.metadata.name, series)
    return {
        "annotations": _KEEP_OFF,
        "target": service.metadata.name,
        "min_replicas": block.min_replicas,
        "max_replicas": block.max_replicas,
        "behavior": block.behavior,
        "triggers": [_trigger(metric, queries, facts) for metric in metrics_of(service)],
    }


def _trigger(metric: Metric, queries: Queries, facts: Facts) -> dict[str, Any]:
    if metric.type in RESOURCES:
        is_share = metric.target.endswith("%")
        return {
            "type": RESOURCES[metric.type],
            "metricType": "Utilization" if is_share else "AverageValue",
            "metadata": {"value": metric.target.removesuffix("%")},
        }
    query = metric.query if metric.type == "Custom" else f"sum({queries.series(queries.names.gauge(metric.type))})"
    source = {"serverAddress": facts.prometheus_url, "query": query, "threshold": metric.target}
    return {"type": "prometheus", "metricType": "AverageValue", "metadata": source}
