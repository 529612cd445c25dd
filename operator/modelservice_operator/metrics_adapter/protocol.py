"""The documents of `custom.metrics.k8s.io`. Its two versions differ in how a value names its metric."""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

GROUP: Final = "custom.metrics.k8s.io"
VERSIONS: Final = ("v1beta1", "v1beta2")

KNOWN: Final = (
    "inference_requests_queued",
    "inference_requests_running",
    "inference_kv_cache_usage_ratio",
    "inference_tokens_per_second",
    "inference_requests_per_second",
)
"""Metrics that discovery shows; every other gauge and counter of the runtime can be asked for as well."""

_EQUALITY: Final = re.compile(r"\s*([A-Za-z0-9_./-]+)\s*==?\s*([A-Za-z0-9_.-]*)\s*")


class BadSelector(ValueError):  # noqa: N818
    """A selector of metrics that is not a list of equalities."""


def read_selector(text: str) -> dict[str, str]:
    """Parse `direction=completion,model=chat`. Raises BadSelector."""
    labels = {}
    for part in filter(None, text.split(",")):
        found = _EQUALITY.fullmatch(part)
        if found is None:
            raise BadSelector(f"metricLabelSelector: {part!r} is not label=value; no other form is supported")
        labels[found[1]] = found[2]
    return labels


def resource_list(version: str) -> dict[str, Any]:
    """What discovery answers."""
    resources = [
        {"name": f"pods/{name}", "singularName": "", "namespaced": True, "kind": "MetricValueList", "verbs": ["get"]}
        for name in KNOWN
    ]
    header = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{version}"}
    return {**header, "resources": resources}


def value_list(
    version: str,
    namespace: str,
    metric: str,
    values: Iterable[tuple[str, float]],
    labels: Mapping[str, str],
    now: datetime,
) -> dict[str, Any]:
    """The values of a metric, by the names of the pods that have one."""
    selector = {"matchLabels": dict(labels)} if labels else None
    named: dict[str, Any] = {"metricName": metric, "selector": selector}
    if version != "v1beta1":
        named = {"metric": {"name": metric, "selector": selector}}
    items = [
        {
            "describedObject": {"kind": "Pod", "namespace": namespace, "name": pod, "apiVersion": "/v1"},
            **named,
            "timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "value": quantity(value),
        }
        for pod, value in values
    ]
    return {"kind": "MetricValueList", "apiVersion": f"{GROUP}/{version}", "metadata": {}, "items": items}


def failure(code: int, reason: str, message: str) -> dict[str, Any]:
    """An error as Kubernetes writes it."""
    header = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return {**header, "code": code, "reason": reason, "message": message}


def quantity(value: float) -> str:
    """The number as a quantity, to a thousandth, rounded up so that little is never nothing."""
    thousandths = math.ceil(round(value * 1000, 6))
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"
