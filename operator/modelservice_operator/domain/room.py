"""Room for a new revision that needs accelerators: beside the old one where there is some, else in its place.

Whether there is room is not computed from the nodes: the scheduler knows it, with taints, affinities, slices and
whoever else waits. So the new pod is added first. When the scheduler finds too few accelerators for it, and a pod of
the old revision holds as many, pods are replaced one at a time from then on, until the old revision is gone. When what
would become free is not enough either, nothing is taken away: the rollout is blocked, and the old revision serves.
"""

from collections.abc import Mapping
from typing import Any, Final

from ..api.v1alpha1 import ModelService, RuntimeProfile
from .placement import accelerator_of, devices_of
from .pods import condition, is_placed
from .tree import Tree, branch, items, text
from .world import World

Manifest = Mapping[str, Any]

NO_DEVICES: Final = "cannot allocate all claims"
"""What the scheduler says of a node that lacks devices for the claims of a pod."""

IN_PLACE: Final = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}


def looks_for_room(service: ModelService, profile: RuntimeProfile | None) -> bool:
    """Whether the operator decides how the pods of two revisions share the accelerators."""
    rollout = service.spec.rollout
    is_ours = rollout.strategy == "Auto" and rollout.max_surge is None and rollout.max_unavailable is None
    return is_ours and devices_of(service, profile)[0] > 0


def make_room(wanted: Manifest, world: World) -> Manifest:
    """The Deployment, with pods replaced one at a time where there is no room for one more."""
    if not looks_for_room(world.service, world.profile):
        return wanted
    if not (is_replacing(world) or (_lacks_accelerators(world) and _would_suffice(world))):
        return wanted
    return {**wanted, "spec": {**wanted["spec"], "strategy": IN_PLACE}}


def is_replacing(world: World) -> bool:
    """Whether pods of an old revision are being replaced one at a time."""
    live = branch(world.deployment, "spec", "strategy", "rollingUpdate")
    return bool(world.pods.earlier) and live.get("maxSurge") == 0 and looks_for_room(world.service, world.profile)


def _lacks_accelerators(world: World) -> bool:
    """Whether the scheduler finds too few accelerators for a pod of the new revision."""
    resource = accelerator_of(world.service, world.profile)[1]
    waiting = (condition(pod, "PodScheduled") for pod in world.pods.current if not is_placed(pod))
    words = (f"Insufficient {resource}", NO_DEVICES)
    return any(word in text(said, "message") for said in waiting for word in words)


def _would_suffice(world: World) -> bool:
    """Whether a pod of the old revision holds as many accelerators, and claims, as one of the new needs."""
    resource = accelerator_of(world.service, world.profile)[1]
    needed = max((_count(pod, resource) for pod in world.pods.current), default=0)
    claimed = max(map(_claims, world.pods.current), default=0)
    holders = [pod for pod in world.pods.earlier if is_placed(pod)]
    return any(_count(pod, resource) >= needed and _claims(pod) >= claimed for pod in holders)


def _claims(pod: Tree) -> int:
    return sum(len(items(container, "resources", "claims")) for container in items(pod, "spec", "containers"))


def _count(pod: Tree, resource: str) -> int:
    limits = (
        branch(container, "resources", "limits").get(resource, 0) for container in items(pod, "spec", "containers")
    )
    return sum(int(limit) for limit in limits if str(limit).isdecimal())
