"""The metrics of the runtime, prefix `inference_`, in one registry of one process.

Cardinality is bounded: `model` is the served name, an adapter's or `_other`, `endpoint` a route's template, `code` a
status code, everything else an enumeration. No label ever comes from a prompt, a user or a raw path. What is read at
each scrape is in `live.py`.
"""

import time
from collections.abc import Callable, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)

from modelservice_runtime.engine.scheduling import Stats
from modelservice_runtime.observability.journey import Journey
from modelservice_runtime.observability.live import Live

OTHER_MODEL = "_other"
DURATIONS = (
    0.002,
    0.005,
    0.01,
    0.02,
    0.04,
    0.08,
    0.16,
    0.32,
    0.64,
    1.28,
    2.56,
    5.12,
    10.24,
    20.48,
    40.96,
    81.92,
    163.84,
)
GENAI = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
FIRST_TOKEN = (0.001, 0.005, *GENAI, 20, 40, 80)
NEXT_TOKEN = (0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)
ROWS = tuple(1 << power for power in range(9))
TOKENS = tuple(1 << power for power in range(15))
REQUEST_TOKENS = tuple(digit * 10**power for power in range(6) for digit in (1, 2, 5))
PADDING = (0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)


class Metrics:
    """All instruments; also the `Meter` of the schedulers. `model` and `task` are fixed for the process."""

    def __init__(
        self, model: str, *, aliases: Sequence[str] = (), adapters: Sequence[str] = (), vllm: bool = True
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.model = model
        self._labels = {model: model} | dict.fromkeys(aliases, model) | {name: name for name in adapters}
        self.task = "unknown"
        self.live: Live | None = None
        self._vllm = vllm
        self._adapters = adapters
        self._make_http(self.registry)
        self._make_times(self.registry)
        self._make_work(self.registry)
        self._make_model(self.registry)

    def _make_http(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "inference_requests", "Finished HTTP calls", ("model", "task", "endpoint", "code"), registry=registry
        )
        self.request_duration = Histogram(
            "inference_request_duration_seconds",
            "Time from the first byte of a request to the last of its answer",
            ("model", "task", "endpoint"),
            buckets=DURATIONS,
            registry=registry,
        )
        self.rejected = Counter(
            "inference_requests_rejected",
            "Requests refused before they were computed",
            ("model", "reason"),
            registry=registry,
        )

    def _make_times(self, registry: CollectorRegistry) -> None:
        name = ("model",)
        self._cancelled = Counter(
            "inference_requests_cancelled",
            "Items dropped before they were complete",
            ("model", "reason"),
            registry=registry,
        )
        self._cancel_latency = Histogram(
            "inference_cancel_latency_seconds",
            "Time until a cancelled item is gone",
            name,
            buckets=DURATIONS,
            registry=registry,
        )
        self._queue = Histogram(
            "inference_queue_duration_seconds",
            "Time that an item waited",
            ("model", "task"),
            buckets=(0.0005, *DURATIONS),
            registry=registry,
        )
        self._stage = Histogram(
            "inference_stage_duration_seconds",
            "Time of one stage of the work",
            ("model", "task", "stage"),
            buckets=DURATIONS,
            registry=registry,
        )
        self._first_token = Histogram(
            "inference_time_to_first_token_seconds",
            "Time to the first token",
            name,
            buckets=FIRST_TOKEN,
            registry=registry,
        )
        self._next_token = Histogram(
            "inference_inter_token_latency_seconds",
            "Time between two tokens",
            name,
            buckets=NEXT_TOKEN,
            registry=registry,
        )

    def _make_work(self, registry: CollectorRegistry) -> None:
        name = ("model",)
        self._tokens = Counter("inference_tokens", "Tokens read and made", ("model", "direction"), registry=registry)
        self._request_tokens = Histogram(
            "inference_request_tokens",
            "Tokens of one request",
            ("model", "direction"),
            buckets=REQUEST_TOKENS,
            registry=registry,
        )
        self._work = {
            "steps": Counter("inference_diffusion_steps", "Steps of diffusion, a picture", name, registry=registry),
            "audio_seconds": Counter("inference_audio_seconds", "Seconds of sound heard", name, registry=registry),
            "images": Counter("inference_images", "Pictures made", name, registry=registry),
        }
        self._batch_size = Histogram(
            "inference_batch_size", "Rows of a forward pass", ("model", "phase"), buckets=ROWS, registry=registry
        )
        self._batch_tokens = Histogram(
            "inference_batch_tokens", "Tokens of a forward pass", ("model", "phase"), buckets=TOKENS, registry=registry
        )
        self._padding = Histogram(
            "inference_batch_padding_ratio", "Padded share of a forward pass", name, buckets=PADDING, registry=registry
        )

    def _make_model(self, registry: CollectorRegistry) -> None:
        self.load_seconds = Gauge(
            "inference_model_load_seconds", "Time of each stage of the start", ("model", "stage"), registry=registry
        )
        self.model_info = Info("inference_model", "What is served", registry=registry)
        self.ready = Gauge("inference_model_ready", "1 when the model answers", ("model",), registry=registry)
        self.draining = Gauge("inference_draining", "1 while the process ends", ("model",), registry=registry)
        self.ready.labels(self.model).set(0)
        self.draining.labels(self.model).set(0)

    def observe_live(self, stats: Callable[[], Stats], heartbeat_age: Callable[[], float]) -> None:
        """Read gauges from the engine at each scrape."""
        self.live = Live(
            lambda: (self.model, self.task), stats, heartbeat_age, vllm=self._vllm, adapters=self._adapters
        )
        self.registry.register(self.live)

    def count(self, model: str, endpoint: str, status: int, journey: Journey) -> None:
        """A call is over."""
        self.requests.labels(model, self.task, endpoint, str(status)).inc()
        self.request_duration.labels(model, self.task, endpoint).observe(time.monotonic() - journey.began_at)
        if journey.tickets:
            self._request_tokens.labels(self.model, "prompt").observe(journey.prompt_tokens)
            self._request_tokens.labels(self.model, "completion").observe(journey.completion_tokens)

    def label_of(self, model: str) -> str:
        """Return the label for a model that a client named."""
        return self._labels.get(model, OTHER_MODEL)

    def scrape(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    # --- the schedulers' Meter ---

    def waited(self, seconds: float) -> None:
        """An item left the queue."""
        self._queue.labels(self.model, self.task).observe(seconds)

    def first_token(self, seconds: float) -> None:
        """A decoder made its first token."""
        self._first_token.labels(self.model).observe(seconds)

    def next_token(self, seconds: float) -> None:
        """A decoder made a further token."""
        self._next_token.labels(self.model).observe(seconds)

    def batch(self, phase: str, rows: int, tokens: int, padded: int) -> None:
        """A forward pass ran."""
        self._batch_size.labels(self.model, phase).observe(rows)
        self._batch_tokens.labels(self.model, phase).observe(tokens)
        self._padding.labels(self.model).observe(1 - tokens / padded)

    def tokens(self, direction: str, count: int) -> None:
        """Tokens were read or made."""
        self._tokens.labels(self.model, direction).inc(count)

    def forward(self, seconds: float) -> None:
        """A forward pass took so long."""
        self.stage("forward", seconds)

    def sampled(self, seconds: float) -> None:
        """Tokens were chosen."""
        self.stage("sample", seconds)

    def worked(self, unit: str, count: float) -> None:
        """Work was done that tokens do not measure."""
        self._work[unit].labels(self.model).inc(count)

    def stage(self, stage: str, seconds: float) -> None:
        """A stage of the work took so long."""
        self._stage.labels(self.model, self.task, stage).observe(seconds)

    def cancelled(self, reason: str, latency: float) -> None:
        """A cancellation took effect."""
        self._cancelled.labels(self.model, reason).inc()
        self._cancel_latency.labels(self.model).observe(latency)
