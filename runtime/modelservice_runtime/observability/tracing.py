"""Traces by OpenTelemetry: one span for a request, and below it what its items did in the engine.

Spans are made when the answer is complete, from the times that the tickets hold, so that tracing costs nothing on the
way. They carry names, counts and times, never contents. The packages are an extra, imported only when
`observability.otlp_endpoint` is set.
"""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from modelservice_runtime.engine.scheduling import Ticket
from modelservice_runtime.errors import BadSettings
from modelservice_runtime.observability.journey import Journey

MOST_ITEMS = 32
FLUSH_MILLISECONDS = 2000
OPERATIONS: Mapping[str, str] = {
    "chat": "chat",
    "image-text-to-text": "chat",
    "image-to-text": "chat",
    "text-generation": "text_completion",
    "text2text-generation": "text_completion",
    "summarization": "text_completion",
    "translation": "text_completion",
    "feature-extraction": "embeddings",
    "text-to-image": "generate_content",
}


@dataclass(frozen=True, slots=True)
class Trip:
    """A finished call: what was asked for, how it ended, and what it did."""

    method: str
    route: str
    status: int
    model: str
    task: str
    traceparent: str
    journey: Journey


class Tracer(Protocol):
    """Where finished calls are reported."""

    def report(self, trip: Trip) -> None:
        """Take a finished call; never blocks."""

    def close(self) -> None:
        """Send what is left, for a short time."""


class NoTracer:
    """Implements `Tracer` by forgetting."""

    def report(self, trip: Trip) -> None:
        """Forget."""

    def close(self) -> None:
        """Do nothing."""


class OtlpTracer:
    """Implements `Tracer` by OTLP over HTTP."""

    def __init__(self, endpoint: str) -> None:
        """Raises BadSettings when the packages are missing."""
        try:
            from opentelemetry import trace  # noqa: PLC0415 - an extra
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
            from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
                TraceContextTextMapPropagator,
            )
        except ImportError:
            raise BadSettings(
                "observability.otlp_endpoint: the packages for traces are not installed",
                hint="install modelservice[tracing], or leave the setting empty",
            ) from None
        name = os.environ.get("OTEL_SERVICE_NAME", "modelservice-runtime")
        self._provider = TracerProvider(resource=Resource.create({"service.name": name}), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=trace_address(endpoint))))
        self._tracer = self._provider.get_tracer("modelservice_runtime")
        self._propagator = TraceContextTextMapPropagator()
        self._trace = trace

    def report(self, trip: Trip) -> None:
        """Make the spans of a call; they are sent in the background."""
        offset = time.time() - time.monotonic()
        parent = self._propagator.extract({"traceparent": trip.traceparent} if trip.traceparent else {})
        span = self._tracer.start_span(
            f"{trip.method} {trip.route}",
            parent,
            self._trace.SpanKind.SERVER,
            describe_trip(trip),
            start_time=_nanoseconds(trip.journey.began_at + offset),
        )
        if trip.status >= 500:
            span.set_status(self._trace.StatusCode.ERROR)
        below = self._trace.set_span_in_context(span)
        for ticket in trip.journey.tickets[:MOST_ITEMS]:
            for name, begin, end in stages_of(ticket):
                stage = self._tracer.start_span(name, below, start_time=_nanoseconds(begin + offset))
                stage.end(_nanoseconds(end + offset))
        span.end()

    def close(self) -> None:
        """Send what is left."""
        self._provider.force_flush(FLUSH_MILLISECONDS)
        self._provider.shutdown()


def open_tracer(endpoint: str) -> Tracer:
    """Return the tracer of the settings. Raises BadSettings."""
    return OtlpTracer(endpoint) if endpoint else NoTracer()


def trace_address(endpoint: str) -> str:
    """Return where traces go: the address itself, or the usual path below a bare host."""
    return endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + "/v1/traces"


def describe_trip(trip: Trip) -> dict[str, Any]:
    """Return the attributes of the span, by OpenTelemetry's conventions for HTTP and generative AI."""
    journey = trip.journey
    attributes: dict[str, Any] = {
        "http.request.method": trip.method,
        "http.route": trip.route,
        "http.response.status_code": trip.status,
        "gen_ai.provider.name": "modelservice",
        "gen_ai.request.model": trip.model,
        "modelservice.task": trip.task,
        "modelservice.items": len(journey.tickets),
    }
    if trip.task in OPERATIONS:
        attributes["gen_ai.operation.name"] = OPERATIONS[trip.task]
    if journey.tickets:
        attributes["gen_ai.usage.input_tokens"] = journey.prompt_tokens
        attributes["gen_ai.usage.output_tokens"] = journey.completion_tokens
    if trip.status >= 400:
        attributes["error.type"] = str(trip.status)
    return attributes


def stages_of(ticket: Ticket) -> Iterator[tuple[str, float, float]]:
    """Yield (name, begin, end) of what an item went through; decoders have two stages, others one."""
    end = ticket.ended_at or time.monotonic()
    yield "queue", ticket.submitted_at, ticket.started_at or end
    if ticket.started_at is None:
        return
    if ticket.first_at is None:
        yield "forward", ticket.started_at, end
    else:
        yield "prefill", ticket.started_at, ticket.first_at
        yield "decode", ticket.first_at, end


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
