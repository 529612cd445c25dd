"""Traces of requests: where the server sends them, and under which name."""

from typing import Any

from ..api.v1alpha1 import ModelService


def tracing_settings(service: ModelService) -> dict[str, Any]:
    """The section of the runtime's settings; none where no traces are asked for."""
    block = service.spec.observability.tracing
    return {} if block is None else {"observability": {"otlp_endpoint": block.endpoint}}


def tracing_env(service: ModelService) -> list[dict[str, Any]]:
    """Variables of OpenTelemetry that name the service and the pod in its traces."""
    if service.spec.observability.tracing is None:
        return []
    where = "k8s.namespace.name=$(POD_NAMESPACE),k8s.pod.name=$(POD_NAME),k8s.node.name=$(NODE_NAME)"
    return [
        {"name": "OTEL_SERVICE_NAME", "value": service.metadata.name},
        {"name": "OTEL_RESOURCE_ATTRIBUTES", "value": where},
    ]
