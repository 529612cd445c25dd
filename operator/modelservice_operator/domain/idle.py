"""Scaling to zero when no requests come, and back. Pure: the clock, and what is known of the requests, are arguments.

The state is the number of replicas of the Deployment itself, and nothing else has to be remembered: an operator that
restarts finds it, and whoever scales the Deployment from zero has woken the service. At zero the operator applies
`replicas: 0`, and a HorizontalPodAutoscaler does nothing by its own rule. Above zero the operator leaves the field to
the autoscaler. So neither ever undoes what the other did.

A service goes to zero only when all is settled: every replica that is asked for is ready, of the revision asked for,
and has been quiet for the stated time. A pod that loads its model, a rollout and a canary are waited for, and a pod
that does not say what it does counts as busy.

The door is an EndpointSlice of the operator's beside those that Kubernetes keeps for the same Service. Open, it leads
to the activator, which holds requests until a pod answers; shut, it has no endpoint, so live traffic never takes the
way through the activator. The Service itself is not touched, and there is no moment at which it leads nowhere: the door
opens before the last pod is taken away, and shuts when a pod has been ready for so long that every node knows of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ..api import names
from ..api.activator import HTTP_PORT, SERVICE_NAME, SLICE_MANAGED_BY
from ..api.kinds import DEPLOYMENT, ENDPOINT_SLICE
from ..api.v1alpha1 import ModelService
from .plan import ChildKey
from .pods import condition, is_ready
from .project import OWNS_REPLICAS
from .rollout import ENDPOINT_SECONDS
from .tree import Tree, branch, items, moment, number, text

FAMILIES: Final = ("IPv4", "IPv6")
OPENING_SECONDS: Final = 1.0
"""How long the door is open before the last pod is told to end, which itself serves on for some seconds."""


@dataclass(frozen=True, slots=True)
class Stillness:
    """For how many seconds no request has come, None when that is not known; and the port at the activator, 0: none."""

    quiet: float | None = None
    port: int = 0


@dataclass(frozen=True, slots=True)
class Door:
    """The way to the activator: the port that stands for the service, and where it leads; shut without addresses."""

    port: int
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rest:
    """Whether a service has no replica because no requests come, and its door, if there is an activator."""

    at_zero: bool = False
    door: Door | None = None


UNKNOWN: Final = Stillness()
AWAKE: Final = Rest()


def idle_seconds(service: ModelService) -> int | None:
    """After how many seconds without requests the service goes to zero; None when it never does."""
    block = service.spec.autoscaling
    if block is None or block.idle is None or block.backend != "HPA" or service.spec.suspend:
        return None
    return block.idle.scale_to_zero_after_seconds


def judge_rest(
    service: ModelService,
    children: Mapping[ChildKey, Tree],
    pods: Sequence[Tree],
    still: Stillness,
    activator: tuple[str, ...] | None,
    now: datetime,
) -> tuple[Rest, float | None]:
    """Decide whether the service is, stays or goes to zero; and in how many seconds to look again, None: not at all.

    `activator` are the addresses of its pods, None where it is not installed.
    """
    seconds = idle_seconds(service)
    if seconds is None:
        return AWAKE, None
    addresses = activator or ()
    deployment = _deployment(children, names.child_name(DEPLOYMENT.kind, service.metadata.name))
    if is_at_zero(deployment):
        return Rest(True, _door(still, addresses)), None
    if _is_quiet(service, children, pods, still, seconds):
        if activator is None:
            return Rest(at_zero=True), None
        if addresses and still.port:
            is_open = _is_open(service, children)
            return Rest(is_open, _door(still, addresses)), None if is_open else OPENING_SECONDS
    unsure = _unsure_for(pods, now)
    return Rest(False, _door(still, addresses if unsure > 0 else ())), unsure if 0 < unsure < float("inf") else None


def is_at_zero(deployment: Tree) -> bool:
    """Whether a Deployment has no replica for want of requests, or because somebody else scaled it to zero.

    Without the mark, a zero of the operator's own is that of a service that was suspended, which now starts again.
    """
    if branch(deployment, "spec").get("replicas") != 0:
        return False
    return names.IDLE in branch(deployment, "metadata", "annotations") or not deployment.get(OWNS_REPLICAS)


def door_slices(service: ModelService, door: Door) -> list[tuple[str, dict[str, Any]]]:
    """Name and values of the EndpointSlices that make the door, one for each family of addresses.

    That of IPv4 is always there, because it keeps the port.
    """
    by_family: dict[str, list[str]] = {family: [] for family in FAMILIES}
    for address in door.addresses:
        by_family["IPv6" if ":" in address else "IPv4"].append(address)
    return [
        (names.door_name(service.metadata.name, family), _slice(service, family, addresses, door.port))
        for family, addresses in by_family.items()
        if addresses or family == "IPv4"
    ]


def _slice(service: ModelService, family: str, addresses: Sequence[str], port: int) -> dict[str, Any]:
    labels = {
        SERVICE_NAME: names.child_name("Service", service.metadata.name),
        SLICE_MANAGED_BY: names.MANAGED_BY,
    }
    return {
        "labels": labels,
        "family": family,
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
        "port_name": HTTP_PORT,
        "port": port,
    }


def _deployment(children: Mapping[ChildKey, Tree], name: str) -> Tree:
    return children.get((DEPLOYMENT.kind, name)) or {}


def _door(still: Stillness, addresses: tuple[str, ...]) -> Door | None:
    return Door(still.port, addresses) if still.port else None


def _is_quiet(
    service: ModelService, children: Mapping[ChildKey, Tree], pods: Sequence[Tree], still: Stillness, seconds: int
) -> bool:
    if still.quiet is None or still.quiet < seconds:
        return False
    name = service.metadata.name
    if _deployment(children, names.track_name(name, names.CANARY)):
        return False
    return _is_settled(_deployment(children, names.child_name(DEPLOYMENT.kind, name)), pods)


def _is_open(service: ModelService, children: Mapping[ChildKey, Tree]) -> bool:
    doors = ((ENDPOINT_SLICE.kind, names.door_name(service.metadata.name, family)) for family in FAMILIES)
    return any(items(children.get(door, {}), "endpoints") for door in doors)


def _unsure_for(pods: Sequence[Tree], now: datetime) -> float:
    """For how many seconds yet some node may not know of any ready pod; without one for ever."""
    since = [moment(condition(pod, "Ready"), "lastTransitionTime") for pod in pods if is_ready(pod)]
    ages = ((now - began).total_seconds() if began else ENDPOINT_SECONDS for began in since)
    return max(0.0, ENDPOINT_SECONDS - max(ages, default=float("-inf")))


def _is_settled(deployment: Tree, pods: Sequence[Tree]) -> bool:
    """Whether every replica that is asked for is there, of the newest revision, and ready."""
    wanted = number(deployment, "spec", "replicas")
    counts = {number(deployment, "status", key) for key in ("replicas", "updatedReplicas", "readyReplicas")}
    alive = [pod for pod in pods if not text(pod, "metadata", "deletionTimestamp")]
    is_seen = number(deployment, "status", "observedGeneration") >= number(deployment, "metadata", "generation")
    return is_seen and counts == {wanted} and len(alive) == wanted > 0 and all(map(is_ready, alive))
