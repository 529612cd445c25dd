"""Alerts of one ModelService, each of which asks somebody to act.

The error budget burns in two speeds over two windows each, after the SRE workbook: 2% of a month's budget within an
hour pages, 5% within six hours makes a ticket. The short window ends the alert soon after the trouble.
"""

from typing import Any, Final

from ..api.v1alpha1 import ModelService
from ..api.v1alpha1.serving import PrometheusRule
from .engine_metrics import MetricNames
from .placement import Placement
from .queries import Queries
from .rollout import wanted_replicas

_BURNS: Final = (("critical", 14.4, "1h", "5m", "2m"), ("warning", 6, "6h", "30m", "15m"))
_QUEUED: Final = 200
"""Of the 256 requests that may wait in a pod; the next ones are refused."""


def alert_rules(
    service: ModelService, block: PrometheusRule, placement: Placement, names: MetricNames
) -> list[dict[str, Any]]:
    """The alerting rules. A service that is to have no replica, or may have none, is not missed.

    What the server does not tell has no alert: others than the operator's own runtime tell no failures.
    """
    queries = Queries(service.metadata.namespace, service.metadata.name, names)
    rules = [] if _may_have_none(service) else [_never_ready(queries)]
    rules += [_crash_loop(queries), *(_error_budget(queries, block) if names.is_ours else ())]
    rules += [_latency(queries, block)] if names.latency else []
    rules += [_saturation(queries)] if names.queued else []
    rules += [_cache_full(queries)] if names.cache else []
    if placement.count and names.calls:
        rules.append(_idle(queries, placement))
    return [_labelled(service, rule) for rule in rules]


def _may_have_none(service: ModelService) -> bool:
    scaling = service.spec.autoscaling
    goes_to_zero = scaling is not None and (scaling.idle is not None or scaling.min_replicas == 0)
    return goes_to_zero or wanted_replicas(service) == 0


def _labelled(service: ModelService, rule: dict[str, Any]) -> dict[str, Any]:
    labels = {"namespace": service.metadata.namespace, "modelservice": service.metadata.name}
    return {**rule, "labels": {**rule["labels"], **labels}}


def _rule(name: str, severity: str, expression: str, wait: str, summary: str, advice: str) -> dict[str, Any]:
    return {
        "alert": f"ModelService{name}",
        "expr": expression,
        "for": wait,
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "description": advice},
    }


def _told(queries: Queries) -> str:
    return f"ModelService {queries.namespace}/{queries.service}"


def _never_ready(queries: Queries) -> dict[str, Any]:
    return _rule(
        "NotReady",
        "critical",
        f"({queries.ready()} or vector(0)) < 1",
        "30m",
        f"{_told(queries)} has had no pod that answers for 30 minutes",
        f"`kubectl -n {queries.namespace} describe modelservice {queries.service}` tells the reason and what to do.",
    )


def _crash_loop(queries: Queries) -> dict[str, Any]:
    return _rule(
        "CrashLooping",
        "critical",
        f"max by (pod, container) ({queries.restarts('15m')}) > 2",
        "1m",
        f"{_told(queries)}: container {{{{ $labels.container }}}} of {{{{ $labels.pod }}}} restarts again and again",
        f"status.lastFailure of the ModelService tells why; `kubectl -n {queries.namespace} logs --previous "
        "{{ $labels.pod }}` shows its last words.",
    )


def _error_budget(queries: Queries, block: PrometheusRule) -> list[dict[str, Any]]:
    budget = block.error_percent / 100
    return [
        _rule(
            "ErrorBudgetBurn",
            severity,
            f"{queries.error_ratio(long)} > {speed * budget:g} and {queries.error_ratio(short)} > {speed * budget:g}",
            wait,
            f"{_told(queries)} fails {{{{ $value | humanizePercentage }}}} of its requests",
            f"More than {speed:g} times the {block.error_percent}% that may fail, over {long}. "
            "The logs of the pods tell what failed.",
        )
        for severity, speed, long, short, wait in _BURNS
        if speed * budget < 1
    ]


def _latency(queries: Queries, block: PrometheusRule) -> dict[str, Any]:
    return _rule(
        "LatencyHigh",
        "warning",
        f"{queries.quantile(0.95, queries.names.latency, '10m')} > {block.latency_seconds}",
        "10m",
        f"{_told(queries)}: one request in twenty takes longer than {{{{ $value | humanizeDuration }}}}",
        f"The aim is {block.latency_seconds} s. Add replicas, or lower spec.runtime.engine.maxConcurrency.",
    )


def _saturation(queries: Queries) -> dict[str, Any]:
    waits = f"max({queries.series(queries.names.queued)}) > {_QUEUED}"
    full = queries.total("inference_requests_rejected_total", "5m", 'reason=~"queue_full|token_budget"')
    return _rule(
        "QueueSaturated",
        "warning",
        f"{waits} or {full} > 0" if queries.names.is_ours else waits,
        "5m",
        f"{_told(queries)} has more requests than it can compute",
        "Requests wait long or are refused with 429. Add replicas, or an autoscaler.",
    )


def _cache_full(queries: Queries) -> dict[str, Any]:
    return _rule(
        "KVCacheFull",
        "warning",
        f"max by (pod) ({queries.series(queries.names.cache)}) > 0.95",
        "10m",
        f"{_told(queries)}: the KV cache of {{{{ $labels.pod }}}} is {{{{ $value | humanizePercentage }}}} full",
        "New requests wait for running ones to end. Add replicas, or lower spec.runtime.engine.maxContext.",
    )


def _idle(queries: Queries, placement: Placement) -> dict[str, Any]:
    calls = f"sum(increase({queries.series(queries.names.calls)}[6h])) or vector(0)"
    held = f"{placement.count} x {placement.resource}"
    return _rule(
        "AcceleratorIdle",
        "info",
        f"({calls}) < 1 and on() {queries.ready()} > 0",
        "1h",
        f"{_told(queries)} holds {held} in each replica and has had no request for 6 hours",
        "Set spec.replicas: 0 while nobody needs it.",
    )
