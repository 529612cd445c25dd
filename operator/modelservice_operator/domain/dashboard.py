"""A Grafana dashboard of one ModelService: what it serves, how fast, and what it waits for."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Final

from ..api.v1alpha1 import ModelService
from .engine_metrics import MetricNames
from .queries import Queries

_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_WINDOW: Final = "$__rate_interval"
_WIDTH: Final = 8
_HEIGHT: Final = 7
_COLUMNS: Final = 3
_LOAD: Final = "Requests in the engine"

_Panel = tuple[str, str, tuple[tuple[str, str], ...]]
"""Title, unit, and expressions with their legends."""


def dashboard_text(service: ModelService, names: MetricNames) -> str:
    """The dashboard as Grafana imports it: panels for everything that the server tells."""
    name, namespace = service.metadata.name, service.metadata.namespace
    panels = [_panel(index, panel) for index, panel in enumerate(_panels(Queries(namespace, name, names)))]
    board = {
        "uid": hashlib.sha256(f"{namespace}/{name}".encode()).hexdigest()[:32],
        "title": f"ModelService {namespace}/{name}",
        "tags": ["modelservice"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": panels,
    }
    return json.dumps(board, indent=1, sort_keys=True)


def _panels(queries: Queries) -> tuple[_Panel, ...]:
    if queries.names.is_ours:
        return (*_traffic(queries), *_tokens(queries), *_engine(queries))
    return tuple(_told(queries))


def _told(queries: Queries) -> Iterator[_Panel]:
    """The panels of a server of another make."""
    names = queries.names
    yield _answering(queries)
    if names.calls:
        yield "Requests a second", "reqps", ((queries.total(names.calls, _WINDOW), "requests"),)
        yield "Time of a request", "s", _quantiles(queries, names.latency)
    if names.tokens:
        yield "Tokens a second", "short", ((queries.total(names.tokens, _WINDOW), "tokens"),)
    engine = ((names.running, "running"), (names.queued, "waiting"))
    loads = tuple((f"sum({queries.series(name)})", legend) for name, legend in engine if name)
    if loads:
        yield _LOAD, "short", loads
    if names.cache:
        yield _cache(queries)
    yield _restarts(queries)


def _answering(queries: Queries) -> _Panel:
    return "Pods that answer", "short", ((queries.ready(), "ready"),)


def _cache(queries: Queries) -> _Panel:
    return "KV cache in use", "percentunit", ((f"max by (pod) ({queries.series(queries.names.cache)})", "{{pod}}"),)


def _restarts(queries: Queries) -> _Panel:
    return "Restarts", "short", ((f"sum by (pod) ({queries.restarts('1h')})", "{{pod}}"),)


def _traffic(queries: Queries) -> tuple[_Panel, ...]:
    calls = queries.series("inference_requests_total")
    return (
        _answering(queries),
        ("Requests a second", "reqps", ((f"sum by (code) (rate({calls}[{_WINDOW}]))", "{{code}}"),)),
        ("Failed requests", "percentunit", ((queries.error_ratio(_WINDOW), "failed"),)),
        ("Time of a request", "s", _quantiles(queries, "inference_request_duration_seconds")),
        ("Time in the queue", "s", _quantiles(queries, "inference_queue_duration_seconds")),
    )


def _tokens(queries: Queries) -> tuple[_Panel, ...]:
    tokens = queries.series("inference_tokens_total")
    return (
        ("Tokens a second", "short", ((f"sum by (direction) (rate({tokens}[{_WINDOW}]))", "{{direction}}"),)),
        ("Time to the first token", "s", _quantiles(queries, "inference_time_to_first_token_seconds")),
        ("Time between tokens", "s", _quantiles(queries, "inference_inter_token_latency_seconds")),
    )


def _engine(queries: Queries) -> tuple[_Panel, ...]:
    running, queued = (queries.series(f"inference_requests_{word}") for word in ("running", "queued"))
    rejected = queries.series("inference_requests_rejected_total")
    memory = queries.series("inference_gpu_memory_bytes")
    rows = queries.quantile(0.5, "inference_batch_size", _WINDOW)
    return (
        (_LOAD, "short", ((f"sum({running})", "running"), (f"sum({queued})", "waiting"))),
        ("Refused requests", "reqps", ((f"sum by (reason) (rate({rejected}[{_WINDOW}]))", "{{reason}}"),)),
        _cache(queries),
        ("Rows of a batch", "short", ((rows, "p50"),)),
        ("Memory of the devices", "bytes", ((f"sum by (pod, kind) ({memory})", "{{pod}} {{kind}}"),)),
        _restarts(queries),
    )


def _quantiles(queries: Queries, name: str) -> tuple[tuple[str, str], ...]:
    return tuple((queries.quantile(share, name, _WINDOW), f"p{round(share * 100)}") for share in (0.5, 0.95, 0.99))


def _panel(index: int, panel: _Panel) -> dict[str, Any]:
    title, unit, expressions = panel
    row, column = divmod(index, _COLUMNS)
    return {
        "id": index + 1,
        "type": "timeseries",
        "title": title,
        "datasource": _DATASOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": _DATASOURCE, "expr": expression, "legendFormat": legend}
            for place, (expression, legend) in enumerate(expressions)
        ],
    }
