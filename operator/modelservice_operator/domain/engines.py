"""Servers of another make: how they are started, and what of a spec they cannot do.

A setting either reaches the server, by a placeholder in its arguments or because Kubernetes carries it out, or the spec
is refused: a field that is silently ignored misleads.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from ..api import contract
from ..api.reasons import Reason
from ..api.v1alpha1 import ModelService, RuntimeProfile
from ..api.v1alpha1.scaling import Metric
from ..api.v1alpha1.server import PLACEHOLDERS, Server, ServerMetrics, placeholders_in
from .autoscaling import RESOURCES
from .errors import SpecError
from .facts import Facts
from .placement import Placement, devices_of
from .settings import served_name
from .source import model_dir

_OURS: Final[tuple[tuple[str, Callable[[Any], bool]], ...]] = (
    ("model.task", lambda spec: spec.model.task != "auto"),
    ("model.adapters", lambda spec: bool(spec.model.adapters)),
    ("model.trustRemoteCode", lambda spec: spec.model.trust_remote_code),
    ("runtime.engine.quantization", lambda spec: spec.runtime.engine.quantization != "none"),
    ("runtime.engine.compile", lambda spec: spec.runtime.engine.compile),
    ("security.apiKeySecretRef", lambda spec: spec.security.api_key_secret_ref is not None),
    ("rollout.verification", lambda spec: spec.rollout.verification is not None),
    ("observability.tracing", lambda spec: spec.observability.tracing is not None),
    ("observability.prometheusRule.errorPercent", lambda spec: spec.has("observability.prometheusRule.errorPercent")),
)
"""Settings that rest on the runtime's own files, metrics or protocols, each with whether a spec asks for it."""

_MEASURED: Final[tuple[tuple[str, Callable[[Any], bool]], ...]] = (
    ("observability.serviceMonitor", lambda spec: spec.observability.service_monitor is not None),
    ("observability.prometheusRule", lambda spec: spec.observability.prometheus_rule is not None),
    ("observability.dashboard", lambda spec: spec.observability.dashboard is not None),
    ("autoscaling.idle", lambda spec: spec.has("autoscaling.idle")),
)
"""Settings that rest on metrics, of whatever name."""

_PASSED: Final[tuple[tuple[str, str, Callable[[Any], bool]], ...]] = (
    ("model.servedName", "name", lambda spec: spec.model.served_name != ""),
    ("runtime.engine.dtype", "dtype", lambda spec: spec.runtime.engine.dtype != "auto"),
    ("runtime.engine.maxContext", "maxContext", lambda spec: spec.runtime.engine.max_context != 0),
    ("runtime.engine.maxConcurrency", "maxConcurrency", lambda spec: spec.has("runtime.engine.maxConcurrency")),
)
"""Settings that reach a server by a placeholder, where its arguments have it."""

_OPTIONAL: Final = {"maxContext": "runtime.engine.maxContext", "accelerators": "accelerator.count"}
"""Placeholders that may have no value, and the field that gives them one."""

_SILENT: Final = "tells no metrics, since it has no spec.server.metrics"


def server_of(profile: RuntimeProfile | None) -> Server | None:
    """The server of another make that a profile brings; None for the operator's own runtime."""
    return profile.spec.server if profile else None


def inference_port(profile: RuntimeProfile | None) -> int:
    """The port of a pod that takes requests."""
    server = server_of(profile)
    return server.port if server else contract.INFERENCE_PORT


def loader_image(service: ModelService, profile: RuntimeProfile | None, facts: Facts) -> str:
    """The image that looks at, fetches and removes models: the server's, unless that is of another make."""
    return facts.default_runtime_image if server_of(profile) else image_of(service, profile, facts)


def image_of(service: ModelService, profile: RuntimeProfile | None, facts: Facts) -> str:
    """The server's image: the spec's, else the profile's, else the operator's default."""
    return service.spec.runtime.image or (profile.spec.image if profile else "") or facts.default_runtime_image


def require_server(service: ModelService, profile: RuntimeProfile | None) -> None:
    """Raise SpecError when the spec asks for what the profile's server cannot do."""
    server = server_of(profile)
    if profile is None or server is None:
        return
    for field, lack in _unsupported(service, server):
        message = (
            f"cannot be carried out: the server of RuntimeProfile {profile.metadata.name!r} {lack}; remove it, or "
            f"name a profile {'that has it' if 'spec.server.metrics' in lack else 'without spec.server'} in "
            "spec.runtime.profileRef"
        )
        raise SpecError(Reason.UNSUPPORTED_BY_SERVER, f"spec.{field}", message)
    _require_values(service, profile, server)


def _require_values(service: ModelService, profile: RuntimeProfile, server: Server) -> None:
    """Raise SpecError when a text, such as a script, would be left out for want of one value."""
    values = _values(service, server, devices_of(service, profile)[0])
    for argument in filter(_is_script, (*server.command, *server.args)):
        for word in sorted(placeholders_in(argument)):
            if not values[word]:
                message = _without_value(word, argument, profile.metadata.name)
                raise SpecError(Reason.UNSUPPORTED_BY_SERVER, f"spec.{_OPTIONAL[word]}", message)


def _without_value(word: str, argument: str, profile: str) -> str:
    return (
        f"needs a value, because {{{word}}} stands in the middle of a text of RuntimeProfile {profile!r}, "
        f"{argument[:80]!r}; set it, or have the profile give the script an argument of its own, which is left out "
        f"when it has no value: sh -c 'exec server \"$@\"' sh --flag={{{word}}}"
    )


def _is_script(argument: str) -> bool:
    """Whether an argument is more than one option with its value."""
    return not argument.startswith("-") and len(argument.split()) > 1


def _unsupported(service: ModelService, server: Server) -> Iterator[tuple[str, str]]:
    """Fields that the server cannot honour, each with what it lacks."""
    spec = service.spec
    yield from ((field, "is not the operator's own runtime") for field, is_asked in _OURS if is_asked(spec))
    known = frozenset[str]().union(*map(placeholders_in, (*server.command, *server.args)))
    for field, word, is_asked in _PASSED:
        if is_asked(spec) and word not in known:
            yield field, f"has no argument with {{{word}}}"
    yield from _unmeasured(service, server)


def _unmeasured(service: ModelService, server: Server) -> Iterator[tuple[str, str]]:
    """Fields that rest on metrics of which the profile does not say what the server calls them."""
    spec, told = service.spec, server.metrics
    if told is None:
        yield from ((field, _SILENT) for field, is_asked in _MEASURED if is_asked(spec))
    elif spec.has("autoscaling.idle") and (lack := _lack_for_idle(told)):
        yield "autoscaling.idle", lack
    if spec.has("observability.prometheusRule.latencySeconds") and not (told and told.latency):
        yield "observability.prometheusRule.latencySeconds", "has no spec.server.metrics.latency"
    block = spec.autoscaling
    for position, metric in enumerate(block.metrics if block else ()):
        if lack := _lack_of(metric, told, is_asked_of_pods=block is not None and block.backend != "KEDA"):
            yield f"autoscaling.metrics[{position}].type", lack


def _lack_for_idle(told: ServerMetrics) -> str:
    """What keeps the operator from seeing whether requests come; empty when nothing does."""
    names = {"queueDepth": told.queue_depth, "concurrency": told.concurrency, "tokens": told.tokens}
    missing = [field for field, name in names.items() if not name]
    return f"has no spec.server.metrics.{missing[0]}, by which requests are seen" if missing else ""


def _lack_of(metric: Metric, told: ServerMetrics | None, *, is_asked_of_pods: bool) -> str:
    """What keeps an autoscaler from a metric; empty when nothing does."""
    if metric.type in RESOURCES or (metric.type == "Custom" and not is_asked_of_pods):
        return ""
    if told is None:
        return _SILENT
    names = {"QueueDepth": ("queueDepth", told.queue_depth), "Concurrency": ("concurrency", told.concurrency)}
    field, name = names.get(metric.type, ("", metric.query))
    return "" if name else f"does not tell {metric.type}, since it has no spec.server.metrics.{field}"


def server_command(service: ModelService, server: Server, placement: Placement) -> tuple[list[str], list[str]]:
    """Command and arguments with every placeholder filled."""
    values = _values(service, server, placement.count)
    return _filled(server.command, values), [*_filled(server.args, values), *service.spec.runtime.args]


def _values(service: ModelService, server: Server, accelerators: int) -> dict[str, str]:
    """What stands for each placeholder; empty without a value."""
    engine = service.spec.runtime.engine
    return {
        "model": model_dir(service),
        "name": served_name(service),
        "port": str(server.port),
        "dtype": engine.dtype,
        "maxContext": str(engine.max_context or ""),
        "maxConcurrency": str(engine.max_concurrency),
        "accelerators": str(accelerators or ""),
    }


def _filled(arguments: Sequence[str], values: dict[str, str]) -> list[str]:
    """The arguments with their values, without those of which a value is missing."""
    pattern = re.compile(f"[{{]({'|'.join(PLACEHOLDERS)})[}}]")
    return [
        pattern.sub(lambda found: values[found[1]], argument)
        for argument in arguments
        if all(values[word] for word in placeholders_in(argument))
    ]
