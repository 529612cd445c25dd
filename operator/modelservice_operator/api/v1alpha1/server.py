"""Another server that speaks the OpenAI protocol: vLLM, SGLang, llama.cpp, `transformers serve`."""

import re
from typing import Annotated, Final

from pydantic import Field

from ..markers import Atomic, matches
from .block import Block

PLACEHOLDERS: Final = ("model", "name", "port", "dtype", "maxContext", "maxConcurrency", "accelerators")
"""What an argument may hold in braces."""

_WORDS: Final = "|".join(PLACEHOLDERS)
_KNOWN: Final = ", ".join(f"{{{word}}}" for word in PLACEHOLDERS)
_ARGUMENT: Final = f"^([^{{]|[{{]({_WORDS})[}}]|([{{][A-Za-z]*)+([^A-Za-z{{}}]|$)|[{{][}}])*$"
"""Braces that hold letters only are a placeholder; JSON is not."""

Argument = Annotated[
    str,
    Field(max_length=1024),
    matches(_ARGUMENT, f"has a placeholder that is not known; use only {_KNOWN}"),
]
ArgumentList = Annotated[list[Argument], Field(max_length=64), Atomic()]

HttpPath = Annotated[
    str,
    Field(min_length=1, max_length=256),
    matches("^/[!-~]*$", "must be a path on the server, such as /health"),
]


SeriesName = Annotated[
    str,
    Field(max_length=128),
    matches(
        "^([a-zA-Z_:][a-zA-Z0-9_:]*)?$",
        "must be the name of a metric without labels, such as vllm:num_requests_running",
    ),
]


class ServerMetrics(Block):
    """Where the server tells metrics in Prometheus' text format, and what it calls them. What has no name here is
    refused where a ModelService asks for it."""

    port: Annotated[int, Field(ge=1024, le=65535)] | None = None
    """Port of the metrics; left out means that of the requests."""
    path: HttpPath = "/metrics"
    """Path of the metrics."""
    queue_depth: SeriesName = ""
    """Gauge of the requests that wait: QueueDepth of autoscalers."""
    concurrency: SeriesName = ""
    """Gauge of the requests that are computed: Concurrency of autoscalers."""
    tokens: SeriesName = ""
    """Counter of the tokens that were made, with its ending _total."""
    latency: SeriesName = ""
    """Histogram of the seconds that requests take, without the ending _bucket."""
    cache_usage: SeriesName = ""
    """Gauge of the share of the KV cache that is in use, from 0 to 1."""


class ServerProbes(Block):
    """Paths on the server's port that answer with 200 when all is well."""

    startup: HttpPath = "/health"
    """Asked until the model is loaded."""
    readiness: HttpPath = "/health"
    """Asked for as long as the pod runs; while it fails, no request comes."""
    liveness: HttpPath = "/health"
    """Asked for as long as the pod runs; when it goes on failing, the server is started anew."""


class Server(Block):
    """How a server of another make is started and asked whether it is well. Arguments may hold {model} (the folder of
    the model), {name} (its name in requests), {port}, {dtype}, {maxContext}, {maxConcurrency} and {accelerators} (their
    number). An argument whose placeholder has no value (a context of 0, no accelerator) is left out, so a flag and its
    value belong into one argument: --max-model-len={maxContext}. A text with blanks that does not begin with -, such as
    a script, is never left out: the ModelService has to give the value."""

    command: ArgumentList = Field(default_factory=list)
    """Program and its first arguments; empty means the entry point of the image."""
    args: ArgumentList = Field(default_factory=list)
    """Arguments. Those of spec.runtime.args of a ModelService follow them."""
    port: Annotated[int, Field(ge=1024, le=65535)] = 8000
    """Port on which the server takes requests, on every address."""
    probes: ServerProbes = ServerProbes()
    """Paths that say whether the server is well."""
    metrics: ServerMetrics | None = None
    """What the server tells of its load; left out means nothing, and that what rests on metrics is refused."""


def placeholders_in(argument: str) -> frozenset[str]:
    """The placeholders that an argument holds."""
    return frozenset(re.findall(f"[{{]({_WORDS})[}}]", argument))
