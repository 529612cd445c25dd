"""The document of `/status`: what is served, where the process is in its life, and how long the start took."""

from typing import Any

from modelservice_runtime.engine.scheduling import Stats
from modelservice_runtime.server.lifecycle import State
from modelservice_runtime.server.service import Service


def describe_status(service: Service) -> dict[str, Any]:
    """Return the status as plain JSON values; cheap enough for a probe."""
    lifecycle, settings = service.lifecycle, service.settings
    stats = service.task.scheduler.stats() if service.task else Stats()
    return {
        "state": str(lifecycle.state),
        "model": _describe_model(service),
        "accelerator": {
            "requested": settings.accelerator.count,
            "resource": settings.accelerator.resource,
            "simulated": settings.accelerator.simulated,
            "device": service.task.facts.device if service.task else None,
        },
        "startup": {
            "importSeconds": _rounded(lifecycle.seconds.get(State.IMPORTING)),
            "loadSeconds": _rounded(lifecycle.seconds.get(State.LOADING)),
            "warmupSeconds": _rounded(lifecycle.seconds.get(State.WARMING)),
            "totalSeconds": _rounded(lifecycle.total_seconds),
        },
        "requests": {"running": stats.running, "queued": stats.queued},
        "error": lifecycle.error,
    }


def _describe_model(service: Service) -> dict[str, Any]:
    settings, facts = service.settings, service.task.facts if service.task else None
    folder = service.folder
    return {
        "name": settings.served_name,
        "task": service.info.name if service.info else None,
        "architecture": folder.card.architecture if folder else None,
        "parameters": facts.parameters if facts else None,
        "sizeBytes": folder.card.size_bytes if folder else None,
        "dtype": facts.dtype if facts else None,
        "quantization": service.quantization,
        "device": facts.device if facts else None,
        "context": facts.context if facts else None,
        "format": folder.card.format if folder else None,
        "uri": settings.model.uri or None,
        "resolvedRevision": folder.card.resolved_revision if folder else None,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
