"""Values of the children by which a ModelService is reached; None where no block asks for one."""

from typing import Any, Final

from ..api import names
from ..api.contract import ADMIN_PORT
from ..api.v1alpha1 import ModelService, RuntimeProfile
from .engines import inference_port, server_of
from .facts import Facts

_SPARE_ADMIN_PORT: Final = 9081
"""The Service's admin port when the user gives 8081 to the model."""

_NAMESPACE_LABEL: Final = "kubernetes.io/metadata.name"
"""A label that the API server gives every namespace."""


def front_service(service: ModelService, profile: RuntimeProfile | None) -> dict[str, Any]:
    """The Service."""
    options = service.spec.network.service
    ports = [{"name": "http", "port": options.port, "protocol": "TCP", "targetPort": "http"}]
    is_asked = options.type == "ClusterIP" or service.spec.observability.service_monitor is not None
    if is_asked and server_of(profile) is None:
        admin = _SPARE_ADMIN_PORT if options.port == ADMIN_PORT else ADMIN_PORT
        ports.append({"name": "admin", "port": admin, "protocol": "TCP", "targetPort": "admin"})
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
    """The NetworkPolicy: the named peers reach both ports, the operator's namespace the admin port, nobody else any.

    A rule without peers would let everybody in, so without peers there is no such rule.
    """
    block = service.spec.network.network_policy
    if block is None:
        return None
    operator = {"namespaceSelector": {"matchLabels": {_NAMESPACE_LABEL: facts.operator_namespace}}}
    admin = [_port(ADMIN_PORT)] if server_of(profile) is None else []
    rules = [{"from": block.from_, "ports": [_port(inference_port(profile)), *admin]}] if block.from_ else []
    rules += [{"from": [operator], "ports": admin}] if admin else []
    return {"selector": names.selector_labels(service.metadata.name), "rules": rules}


def _port(number: int) -> dict[str, Any]:
    return {"port": number, "protocol": "TCP"}
