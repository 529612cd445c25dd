"""What pods hold and how long they take to start, as they themselves say."""

from decimal import Decimal
from typing import Final

from ..api.names import SERVER_CONTAINER
from ..api.quantity import parse_quantity
from .pods import condition, container_status, is_placed, is_ready
from .tree import Tree, branch, items, moment, number, text

CLAIMED: Final = "resourceClaims"
"""Stands for the resource's name where claims bring the devices."""
_ENDED: Final = ("Succeeded", "Failed")


def devices_asked(pod: Tree) -> dict[str, int]:
    """How many devices of each extended resource the containers of a pod ask for.

    Claims count as one device, as everywhere: how many they bring is the driver's to know.
    """
    asked: dict[str, int] = {}
    for container in items(pod, "spec", "containers"):
        limits = branch(container, "resources", "limits")
        for name in filter(lambda name: "/" in name, limits):
            asked[name] = asked.get(name, 0) + int(_quantity(limits[name]))
    if not asked and items(pod, "spec", "resourceClaims"):
        return {CLAIMED: 1}
    return {name: count for name, count in asked.items() if count}


def devices_held(pod: Tree) -> dict[str, int]:
    """The devices that nobody else can have: from the pod's place on a node until it has ended or is gone."""
    return devices_asked(pod) if is_placed(pod) and not has_ended(pod) else {}


def has_ended(pod: Tree) -> bool:
    """Whether all containers have ended for good, and the node has everything back."""
    return text(pod, "status", "phase") in _ENDED


def is_before_start(pod: Tree) -> bool:
    """Whether the server of a pod has not answered yet since the pod exists, as far as its status shows."""
    server = container_status(pod, SERVER_CONTAINER)
    return not (server.get("started") or number(server, "restartCount") or is_ready(pod) or has_ended(pod))


def start_seconds(pod: Tree) -> float | None:
    """Seconds from the pod's place on a node until it is ready; None while it is not. Kubernetes tells whole seconds.

    A server that had to be started again tells of its crash as well, so its pod has no time of start.
    """
    if not is_ready(pod) or number(container_status(pod, SERVER_CONTAINER), "restartCount"):
        return None
    placed, ready = (moment(condition(pod, type_), "lastTransitionTime") for type_ in ("PodScheduled", "Ready"))
    return max(0.0, (ready - placed).total_seconds()) if placed and ready else None


def _quantity(given: object) -> Decimal:
    try:
        return parse_quantity(given) if isinstance(given, str | int) else Decimal(0)
    except ValueError:
        return Decimal(0)
