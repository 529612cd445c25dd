"""Prometheus metrics of the activator, by namespace and name of the ModelService: there is a port for each of them."""

from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from modelservice_operator.activator.directory import Service

disable_created_metrics()  # type: ignore[no-untyped-call]

PREFIX: Final = "modelservice_activator"
SECONDS: Final = (0.005, 0.05, 0.25, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800)

_LABELS: Final = ("namespace", "modelservice")


class ActivatorMetrics:
    """Everything that `/metrics` shows. `busy` are the services with requests: how many wait and are under way."""

    def __init__(self, busy: Callable[[], Mapping[Service, tuple[int, int]]] = dict) -> None:
        registry = self.registry = CollectorRegistry()
        self._busy = busy
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._held = Gauge(f"{PREFIX}_held_requests", "Requests that wait for a pod.", _LABELS, registry=registry)
        self._forwarding = Gauge(
            f"{PREFIX}_forwarding_requests", "Requests that a pod is answering.", _LABELS, registry=registry
        )
        self._forwarded = Counter(
            f"{PREFIX}_forwarded_requests", "Requests that a pod has answered.", _LABELS, registry=registry
        )
        self._refused = Counter(
            f"{PREFIX}_refused_requests",
            "Requests answered with 503, or 502 when the pod broke: full, late, gone, ending, broken.",
            (*_LABELS, "reason"),
            registry=registry,
        )
        self._left = Counter(
            f"{PREFIX}_abandoned_requests", "Requests whose client left before the answer.", _LABELS, registry=registry
        )
        self._waits = Histogram(
            f"{PREFIX}_wait_seconds",
            "Time from a request's arrival until a pod had it.",
            _LABELS,
            buckets=SECONDS,
            registry=registry,
        )
        self._wakes = Counter(f"{PREFIX}_wakes", "Services that were scaled from zero.", _LABELS, registry=registry)

    def waited(self, service: Service, seconds: float) -> None:
        """A pod has a request now."""
        self._waits.labels(service.namespace, service.name).observe(seconds)

    def forwarded(self, service: Service) -> None:
        """A pod has answered."""
        self._forwarded.labels(service.namespace, service.name).inc()

    def refused(self, service: Service, reason: str) -> None:
        """A request was not answered by a pod."""
        self._refused.labels(service.namespace, service.name, reason).inc()

    def left(self, service: Service) -> None:
        """A client left."""
        self._left.labels(service.namespace, service.name).inc()

    def woke(self, service: Service) -> None:
        """A service was scaled from zero."""
        self._wakes.labels(service.namespace, service.name).inc()

    def render(self, cached: Callable[[], Mapping[str, int]]) -> bytes:
        """Return the exposition text, with the requests as of now."""
        self._held.clear()
        self._forwarding.clear()
        for service, (held, forwarding) in self._busy().items():
            self._held.labels(service.namespace, service.name).set(held)
            self._forwarding.labels(service.namespace, service.name).set(forwarding)
        return generate_latest(self.registry)
