"""What an EndpointSlice says, in short."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelservice_operator.kube.resources import Resource


@dataclass(frozen=True, slots=True)
class Slice:
    """One EndpointSlice: its ports by name, and the addresses that are ready."""

    namespace: str
    labels: Mapping[str, str]
    ports: Mapping[str, int]
    addresses: tuple[str, ...]


def read_slice(body: Mapping[str, Any]) -> Slice:
    """What matters of an EndpointSlice. An endpoint that does not say whether it is ready is."""
    metadata = body["metadata"]
    ready = [each for each in body.get("endpoints") or () if (each.get("conditions") or {}).get("ready") is not False]
    return Slice(
        metadata["namespace"],
        metadata.get("labels") or {},
        {each.get("name") or "": each["port"] for each in body.get("ports") or () if each.get("port")},
        tuple(address for each in ready for address in each["addresses"]),
    )


def slices_of(selector: str) -> Resource:
    """The EndpointSlices with some labels."""
    return Resource("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices", selector=selector)
