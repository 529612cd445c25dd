"""Where pods may run and what they get there: accelerator, resources, node selection.

Three layers are merged, the later wins: safe defaults, the RuntimeProfile, the ModelService.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..api.quantity import parse_quantity
from ..api.reasons import Reason
from ..api.v1alpha1 import ModelService, RuntimeProfile
from ..api.v1alpha1.fields import Resources
from .errors import SpecError

DEFAULT_RESOURCE: Final = "nvidia.com/gpu"

DEFAULT_REQUESTS: Final = {"cpu": "250m", "memory": "1Gi"}
"""Enough for a small model to be placed and started; a real model is sized by its profile or its spec."""

FETCH_REQUESTS: Final = {"cpu": "100m", "memory": "256Mi"}
"""Files are streamed to disk, so the size of the model does not matter."""

_PRODUCT_LABELS: Final = {"nvidia.com": "nvidia.com/gpu.product", "amd.com": "amd.com/gpu.product-name"}
"""Node labels of the vendors' feature discovery, by the domain of the resource."""

_CUSTOMARY_TAINTS: Final = {"nvidia.com": "nvidia.com/gpu", "amd.com": "amd.com/gpu"}
"""Taints under which the vendors' nodes are commonly kept free, also when they offer slices of a device."""

Quantities = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Placement:
    """What the pods ask of a node. `count` is 0 on the CPU, and `simulated` is then False.

    `resource` is an extended resource, or says which claims bring the devices; `claims` are as in a pod.
    """

    count: int
    resource: str
    simulated: bool
    resources: dict[str, Any]
    node_selector: dict[str, str]
    tolerations: tuple[dict[str, Any], ...]
    runtime_class: str
    priority_class: str
    claims: tuple[dict[str, Any], ...] = ()


def place(service: ModelService, profile: RuntimeProfile | None) -> Placement:
    """Merge spec and profile. Raises SpecError for a product whose node label is not known."""
    spec, count, resource = service.spec, *accelerator_of(service, profile)
    claims = tuple(claim.manifest() for claim in spec.scheduling.resource_claims)
    base = profile.spec if profile else None
    selector = {**(base.node_selector if base else {}), **spec.scheduling.node_selector}
    product = spec.accelerator.product if spec.accelerator else ""
    if product and count:
        selector[_product_label(profile, resource)] = product
    resources = merge_resources(DEFAULT_REQUESTS, base.resources if base else Resources(), spec.resources)
    if count:
        resources["limits"] = {**resources.get("limits", {}), resource: str(count)}
    if claims:
        resources["claims"] = [{"name": claim["name"]} for claim in claims]
    devices, source = devices_of(service, profile)
    return Placement(
        count=devices,
        resource=source,
        simulated=bool(devices and base and base.simulated),
        resources=resources,
        node_selector=dict(sorted(selector.items())),
        tolerations=_tolerations(service, profile, resource if count else ""),
        runtime_class=spec.scheduling.runtime_class_name or (base.runtime_class_name if base else ""),
        priority_class=spec.scheduling.priority_class_name or (base.priority_class_name if base else ""),
        claims=claims,
    )


def devices_of(service: ModelService, profile: RuntimeProfile | None) -> tuple[int, str]:
    """How many devices the server of each replica computes on, and where they come from; 0 means the CPU.

    How many devices a claim brings is the driver's to know: claims count as one, because the server uses one.
    """
    if has_claimed_devices(service):
        names = ", ".join(claim.name for claim in service.spec.scheduling.resource_claims)
        return 1, f"resourceClaims {names}"
    return accelerator_of(service, profile)


def has_claimed_devices(service: ModelService) -> bool:
    """Whether claims bring the accelerators, instead of an extended resource."""
    return bool(service.spec.scheduling.resource_claims) and service.spec.accelerator is None


def accelerator_of(service: ModelService, profile: RuntimeProfile | None) -> tuple[int, str]:
    """How many accelerators of which extended resource each replica asks for; 0 means none."""
    wanted = service.spec.accelerator
    given = profile.spec.accelerator if profile and not has_claimed_devices(service) else None
    resource = (wanted.resource if wanted else "") or (given.resource if given else "") or DEFAULT_RESOURCE
    if wanted is not None:
        return wanted.count, resource
    return (given.count, resource) if given else (0, resource)


def merge_resources(defaults: Quantities, *layers: Resources) -> dict[str, Any]:
    """Merge requests and limits key by key, the later layer wins.

    A request never stays above its limit: of the two, the one from the earlier layer gives way.
    """
    requests: dict[str, str | int] = dict(defaults)
    limits: dict[str, str | int] = {}
    for layer in layers:
        requests |= layer.requests
        limits |= layer.limits
        for name in requests.keys() & limits.keys():
            if parse_quantity(requests[name]) <= parse_quantity(limits[name]):
                continue
            if name in layer.requests and name not in layer.limits:
                limits[name] = requests[name]
            elif name not in layer.requests:
                requests[name] = limits[name]
    merged = {"requests": _texts(requests), "limits": _texts(limits)}
    return {kind: quantities for kind, quantities in merged.items() if quantities}


def _texts(quantities: Quantities) -> dict[str, str]:
    return {name: str(quantities[name]) for name in sorted(quantities)}


def _product_label(profile: RuntimeProfile | None, resource: str) -> str:
    given = profile.spec.accelerator if profile else None
    if given is not None and given.resource == resource:
        return given.product_label
    label = _PRODUCT_LABELS.get(resource.partition("/")[0])
    if label is None:
        raise SpecError(
            Reason.INVALID_SPEC,
            "spec.accelerator.product",
            f"the node label of {resource} products is unknown; set accelerator.productLabel in a RuntimeProfile",
        )
    return label


def _tolerations(service: ModelService, profile: RuntimeProfile | None, resource: str) -> tuple[dict[str, Any], ...]:
    listed = [*service.spec.scheduling.tolerations, *(profile.spec.tolerations if profile else [])]
    tolerations: list[dict[str, Any]] = []
    for toleration in listed:
        entry = {key: value for key, value in toleration.manifest().items() if value != ""}
        if entry not in tolerations:
            tolerations.append(entry)
    customary = _CUSTOMARY_TAINTS.get(resource.partition("/")[0], resource)
    for key in dict.fromkeys(filter(None, (resource, customary))):
        if not any(entry.get("key", "") in ("", key) for entry in tolerations):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoSchedule"})
    return tuple(tolerations)
