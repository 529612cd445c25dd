"""Which service a port stands for, and where the ready pods of a service are, as EndpointSlices say.

The slice of a service's door, which the operator keeps, names the port; the other slices of the same Service, which
Kubernetes keeps, name the pods. A port that two doors claim stands for neither: a request must not reach the wrong
model.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from modelservice_operator.api.activator import HTTP_PORT, SERVICE_NAME, SLICE_MANAGED_BY
from modelservice_operator.api.names import LABEL_NAME, MANAGED_BY
from modelservice_operator.kube.endpoints import Slice


@dataclass(frozen=True, slots=True, order=True)
class Service:
    """A ModelService by namespace and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


Target = tuple[str, int]
"""Address and port of a ready pod."""

_NOBODY: Final = Service("", "")


class Directory:
    """What the slices said last."""

    def __init__(self) -> None:
        self._ports: dict[int, Service] = {}
        self._targets: dict[Service, tuple[Target, ...]] = {}

    def update(self, slices: Iterable[Slice]) -> set[Service]:
        """Take all slices as they are now; return the services that have become other than they were."""
        ports: dict[int, Service] = {}
        targets: dict[Service, set[Target]] = {}
        for each in slices:
            service, port = _service_of(each), each.ports.get(HTTP_PORT)
            if service is None or port is None:
                continue
            if each.labels.get(SLICE_MANAGED_BY) != MANAGED_BY:
                targets.setdefault(service, set()).update((address, port) for address in each.addresses)
            elif ports.setdefault(port, service) != service:
                ports[port] = _NOBODY
        found = {port: service for port, service in ports.items() if service != _NOBODY}
        sorted_targets = {service: tuple(sorted(places)) for service, places in targets.items() if places}
        before = self._ports, self._targets
        self._ports, self._targets = found, sorted_targets
        return _changed(before[1], sorted_targets) | (set(before[0].values()) ^ set(found.values()))

    def service_at(self, port: int) -> Service | None:
        """The service that a port stands for."""
        return self._ports.get(port)

    def is_known(self, service: Service) -> bool:
        """Whether a service has a door."""
        return service in self._ports.values()

    def targets(self, service: Service) -> tuple[Target, ...]:
        """The ready pods of a service."""
        return self._targets.get(service, ())


def _service_of(each: Slice) -> Service | None:
    """The ModelService whose own Service a slice belongs to; those of a canary's tracks belong to none."""
    name = each.labels.get(LABEL_NAME)
    return Service(each.namespace, name) if name and each.labels.get(SERVICE_NAME) == name else None


def _changed(before: dict[Service, tuple[Target, ...]], after: dict[Service, tuple[Target, ...]]) -> set[Service]:
    return {service for service in before.keys() | after.keys() if before.get(service) != after.get(service)}
