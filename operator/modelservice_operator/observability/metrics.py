"""Prometheus metrics of the operator. Labels are kinds, verbs, codes and reasons.

Names of ModelServices are labels of one metric only, the use of accelerators: a series for each that holds some, which
ends with it.

One `Metrics` holds a registry of its own, so that a test (or a second operator in one process) starts at zero. It
implements the small metric Protocols of the engine by name.
"""

import time
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

disable_created_metrics()  # type: ignore[no-untyped-call]

PREFIX = "modelservice_operator"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
START_SECONDS = (2, 5, 10, 20, 30, 60, 120, 180, 300, 600, 900, 1800, 3600)


class Metrics:
    """Everything that `/metrics` shows."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._depth = Gauge(f"{PREFIX}_queue_depth", "ModelServices waiting for a worker.", registry=registry)
        self._adds = Counter(f"{PREFIX}_queue_adds", "Requests to reconcile a ModelService.", registry=registry)
        self._retries = Counter(f"{PREFIX}_queue_retries", "Reconciles put back after a failure.", registry=registry)
        self._waits = Histogram(
            f"{PREFIX}_queue_seconds", "Time between becoming due and being taken.", buckets=SECONDS, registry=registry
        )
        self._running = Gauge(f"{PREFIX}_reconciles_running", "Reconciles in flight.", registry=registry)
        self._work = Histogram(
            f"{PREFIX}_reconcile_seconds", "Duration of a reconcile.", buckets=SECONDS, registry=registry
        )
        self._results = Counter(f"{PREFIX}_reconciles", "Reconciles by result.", ["result"], registry=registry)
        self._requests = Counter(
            f"{PREFIX}_api_requests", "Requests to the API server.", ["verb", "kind", "code"], registry=registry
        )
        self._request_seconds = Histogram(
            f"{PREFIX}_api_request_seconds", "Duration of requests.", ["verb"], buckets=SECONDS, registry=registry
        )
        self._corrections = Counter(
            f"{PREFIX}_resync_corrections", "Objects whose events were missed.", ["kind"], registry=registry
        )
        self._leader = Gauge(f"{PREFIX}_leader", "1 while this replica leads.", registry=registry)
        self._synced = Gauge(f"{PREFIX}_synced", "1 once every kind was listed.", registry=registry)
        self._watch_age = Gauge(
            f"{PREFIX}_watch_event_age_seconds", "Time since the last event of a kind.", ["kind"], registry=registry
        )
        self._cached = Gauge(f"{PREFIX}_cached_objects", "Objects in the cache.", ["kind"], registry=registry)
        self._loop_lag = Gauge(f"{PREFIX}_loop_lag_seconds", "How late the event loop runs.", registry=registry)
        self._build_usage(registry)
        self._before: list[Callable[[], None]] = []

    def _build_usage(self, registry: CollectorRegistry) -> None:
        self._held = Counter(
            f"{PREFIX}_accelerator_seconds",
            "Seconds for which the pods of a ModelService held accelerators, times their number.",
            ["modelservice_namespace", "modelservice", "resource"],
            registry=registry,
        )
        self._starts = Histogram(
            f"{PREFIX}_start_seconds",
            "From a pod's place on a node until it is ready.",
            buckets=START_SECONDS,
            registry=registry,
        )

    def before_render(self, settle: Callable[[], None]) -> None:
        """Call `settle` whenever somebody asks for the metrics, so that what grows with time is told as of now."""
        self._before.append(settle)

    def held(self, namespace: str, service: str, resource: str, seconds: float) -> None:
        """Usage: a ModelService held accelerators; `seconds` are those of all devices together."""
        self._held.labels(namespace, service, resource).inc(seconds)

    def released(self, namespace: str, service: str, resource: str) -> None:
        """Usage: a ModelService is gone."""
        self._held.remove(namespace, service, resource)

    def started(self, seconds: float) -> None:
        """Usage: a pod became ready."""
        self._starts.observe(seconds)

    def added(self) -> None:
        """Engine's queue: a key was added."""
        self._adds.inc()

    def waited(self, seconds: float) -> None:
        """Engine's queue: a key was taken."""
        self._waits.observe(seconds)

    def retried(self) -> None:
        """Engine's queue: a key was put back."""
        self._retries.inc()

    def depth(self, waiting: int) -> None:
        """Engine's queue: keys ready and waiting."""
        self._depth.set(waiting)

    def running(self, count: int) -> None:
        """Engine's workers: reconciles in flight."""
        self._running.set(count)

    def finished(self, result: str, seconds: float) -> None:
        """Engine's workers: a reconcile ended."""
        self._work.observe(seconds)
        self._results.labels(result).inc()

    def resynced(self, kind: str, corrections: int) -> None:
        """Engine's resync: a pass over a kind ended."""
        self._corrections.labels(kind).inc(corrections)

    def requested(self, verb: str, kind: str, code: int, seconds: float) -> None:
        """API client: a request ended; code 0 means that no answer came."""
        self._requests.labels(verb, kind, str(code)).inc()
        self._request_seconds.labels(verb).observe(seconds)

    def leads(self, leads: bool) -> None:
        """The leadership changed."""
        self._leader.set(leads)

    def synced(self, synced: bool) -> None:
        """The caches were listed for the first time."""
        self._synced.set(synced)

    def lagged(self, seconds: float) -> None:
        """The event loop was late by this much."""
        self._loop_lag.set(seconds)

    def watched(self, kind: str) -> None:
        """An event of a kind arrived."""
        arrived = time.monotonic()
        self._watch_age.labels(kind).set_function(lambda: time.monotonic() - arrived)

    def render(self, cached: Callable[[], Mapping[str, int]]) -> bytes:
        """Return the exposition text, with the sizes of the cache as of now."""
        for settle in self._before:
            settle()
        for kind, count in cached().items():
            self._cached.labels(kind).set(count)
        return generate_latest(self.registry)
