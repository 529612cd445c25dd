"""Values of the children by which a ModelService is observed; each is None where its block is left out."""

from typing import Any, Final

from ..api import names
from ..api.v1alpha1 import ModelService
from .alerts import alert_rules
from .dashboard import dashboard_text
from .engine_metrics import MetricNames, MetricsPage
from .placement import Placement

_SIDECAR_LABELS: Final = {"grafana_dashboard": "1"}
_FOLDER: Final = "grafana_folder"


def service_monitor(service: ModelService, page: MetricsPage | None) -> dict[str, Any] | None:
    """The ServiceMonitor."""
    block = service.spec.observability.service_monitor
    if block is None or page is None:
        return None
    return {
        "labels": block.labels,
        "selector": names.selector_labels(service.metadata.name),
        "port": page.name,
        "path": page.path,
        "interval": block.interval,
    }


def prometheus_rule(service: ModelService, placement: Placement, series: MetricNames) -> dict[str, Any] | None:
    """The PrometheusRule."""
    block = service.spec.observability.prometheus_rule
    if block is None:
        return None
    rules = alert_rules(service, block, placement, series)
    return {"labels": block.labels, "group": f"modelservice-{service.metadata.name}", "rules": rules}


def dashboard(service: ModelService, series: MetricNames) -> dict[str, Any] | None:
    """The ConfigMap with the dashboard."""
    block = service.spec.observability.dashboard
    if block is None:
        return None
    file = f"{service.metadata.namespace}-{service.metadata.name}.json"
    return {
        "labels": block.labels or _SIDECAR_LABELS,
        "annotations": {_FOLDER: block.folder} if block.folder else {},
        "data": {file: dashboard_text(service, series)},
    }
