"""Values of the children by which a ModelService is reached; None where no block asks for one."""

from typing import Any, Final

from ..api import names
from ..api.v1alpha1 import ModelService, RuntimeProfile
from .engine_metrics import metrics_page
from .engines import inference_port, server_of
from .facts import Facts

_ASIDE: Final = 1000
"""By how much the Service's port of the metrics moves when the user gives its number to the model."""

_NAMESPACE_LABEL: Final = "kubernetes.io/metadata.name"
"""A label that the API server gives every namespace."""


def front_service(service: ModelService, profile: RuntimeProfile | None) -> dict[str, Any]:
    """The Service."""
    options = service.spec.network.service
    ports = [{"name": "http", "port": options.port, "protocol": "TCP", "targetPort": "http"}]
    is_asked = options.type == "ClusterIP" or service.spec.observability.service_monitor is not None
    page = metrics_page(server_of(profile))
    if is_asked and page is not None and page.name != "http":
        number = page.port if page.port != options.port else _aside(page.port)
        ports.append({"name": page.name, "port": number, "protocol": "TCP", "targetPort": page.name})
    return {
        "annotations": options.annotations,
        "type": options.type,
        "selector": names.selector_labels(service.metadata.name),
        "ports": ports,
    }


def ingress(service: ModelService) -> dict[str, Any] | None:
    """The Ingress."""
    block = service.spec.network.ingress
    if block is None:
        return None
    return {
        "class_name": block.class_name,
        "host": block.host,
        "tls_secret_name": block.tls_secret_name,
        "service": names.child_name("Service", service.metadata.name),
    }


def http_route(service: ModelService) -> dict[str, Any] | None:
    """The HTTPRoute."""
    block = service.spec.network.http_route
    if block is None:
        return None
    parents = ({key: value for key, value in parent.manifest().items() if value != ""} for parent in block.parent_refs)
    return {
        "parents": list(parents),
        "hostnames": block.hostnames,
        "service": names.child_name("Service", service.metadata.name),
        "port": service.spec.network.service.port,
    }


def network_policy(service: ModelService, profile: RuntimeProfile | None, facts: Facts) -> dict[str, Any] | None:
    """The NetworkPolicy: named peers reach all ports, the operator's namespace that of the metrics, nobody any other.

    A rule without peers would let everybody in, so without peers there is no such rule.
    """
    block = service.spec.network.network_policy
    if block is None:
        return None
    operator = {"namespaceSelector": {"matchLabels": {_NAMESPACE_LABEL: facts.operator_namespace}}}
    page = metrics_page(server_of(profile))
    told = [page.port] if page else []
    numbers = dict.fromkeys((inference_port(profile), *told))
    rules = [{"from": block.from_, "ports": [_port(number) for number in numbers]}] if block.from_ else []
    rules += [{"from": [operator], "ports": [_port(number) for number in told]}] if told else []
    return {"selector": names.selector_labels(service.metadata.name), "rules": rules}


def _aside(port: int) -> int:
    return port + _ASIDE if port + _ASIDE < 1 << 16 else port - _ASIDE


def _port(number: int) -> dict[str, Any]:
    return {"port": number, "protocol": "TCP"}
