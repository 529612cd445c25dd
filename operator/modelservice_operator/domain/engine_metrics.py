"""What a server's metrics are called, so that autoscalers, alerts and dashboards ask every make of server alike."""

from dataclasses import dataclass
from typing import Final

from ..api import contract
from ..api.v1alpha1 import RuntimeProfile
from ..api.v1alpha1.server import Server, ServerMetrics


@dataclass(frozen=True, slots=True)
class MetricNames:
    """Names of series; empty where the server does not tell. `ready` is 1 in a pod that answers.

    `calls` counts requests that have ended, `latency` is a histogram of their seconds, `cache` the share of the KV
    cache in use. `is_ours` says that everything else that the operator's own runtime tells is there as well.
    """

    ready: str = "up"
    queued: str = ""
    running: str = ""
    tokens: str = ""
    latency: str = ""
    cache: str = ""
    calls: str = ""
    is_ours: bool = False

    def gauge(self, type_: str) -> str:
        """The series behind a type of metric of an autoscaler that has a name of its own in the spec."""
        return {"QueueDepth": self.queued, "Concurrency": self.running}.get(type_, "")


OURS: Final = MetricNames(
    ready="inference_model_ready",
    queued="inference_requests_queued",
    running="inference_requests_running",
    tokens="inference_tokens_total",
    latency="inference_request_duration_seconds",
    cache="inference_kv_cache_usage_ratio",
    calls="inference_requests_total",
    is_ours=True,
)
"""Those of the operator's own runtime."""


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """Where a pod tells its metrics: the port, its name in the pod and in the Service, and the path."""

    port: int
    name: str
    path: str

    @property
    def mark(self) -> str:
        """As an annotation of the pod says it."""
        return f"{self.port}{self.path}"


def metric_names(profile: RuntimeProfile | None) -> MetricNames:
    """The names in the metrics of a profile's server."""
    server = profile.spec.server if profile else None
    if server is None:
        return OURS
    told = server.metrics or ServerMetrics()
    return MetricNames(
        queued=told.queue_depth,
        running=told.concurrency,
        tokens=told.tokens,
        latency=told.latency,
        cache=told.cache_usage,
        calls=f"{told.latency}_count" if told.latency else "",
    )


def metrics_page(server: Server | None) -> MetricsPage | None:
    """Where the metrics are; None when the server tells none. `server` is None for the operator's own runtime."""
    if server is None:
        return MetricsPage(contract.ADMIN_PORT, "admin", contract.METRICS_PATH)
    if server.metrics is None:
        return None
    port = server.metrics.port or server.port
    return MetricsPage(port, "http" if port == server.port else "metrics", server.metrics.path)
