"""AutoscalerReady: whether the autoscaler can do its work, from what the autoscaler itself says.

The service answers all the same, so everything but two autoscalers that fight is soft.
"""

from typing import Final

from ..api import kinds
from ..api.kinds import ChildKind
from ..api.names import child_name
from ..api.reasons import DETAILS, Reason
from .autoscaling import is_autoscaled_by_us
from .idle import idle_seconds
from .keda import is_scaled_by_keda, lacks_prometheus
from .pods import condition
from .tree import Tree, text
from .verdict import Verdict, bad, good, unknown
from .world import World

_NO_PROMETHEUS: Final = (
    "A metric has to be asked of Prometheus, and the operator knows none; set operator.prometheusUrl of its chart "
    "(--prometheus-url), or use the types CPU and Memory"
)


def has_autoscaler(world: World) -> bool:
    """Whether the operator makes an autoscaler for the service."""
    return is_autoscaled_by_us(world.service) or is_scaled_by_keda(world.service)


def autoscaler_ready(world: World) -> Verdict:
    """The verdict on the autoscaler of a service that has one."""
    return _keda_ready(world) if is_scaled_by_keda(world.service) else _hpa_ready(world)


def has_way_back(world: World) -> bool:
    """Whether a request brings the service back when it has gone to zero for want of requests, if it ever goes."""
    return idle_seconds(world.service) is None or (
        world.state.facts is not None and world.state.facts.activator is not None
    )


def describe_no_way_back(world: World) -> str:
    """What has to be done at zero where no activator is installed."""
    command = f"kubectl scale deployment/{world.service.metadata.name} --replicas=1"
    return f"no activator is installed, so no request brings it back: {command} starts a pod"


def _warning(world: World) -> str:
    """Said while the service still answers."""
    usual, seconds = DETAILS[Reason.SCALING_ACTIVE].description, idle_seconds(world.service)
    return f"{usual} It goes to zero after {seconds} s without requests, and then {describe_no_way_back(world)}"


def _child(world: World, kind: ChildKind) -> Tree:
    return world.state.children.get((kind.kind, child_name(kind.kind, world.service.metadata.name))) or {}


def _hpa_ready(world: World) -> Verdict:
    autoscaler = _child(world, kinds.HORIZONTAL_POD_AUTOSCALER)
    for type_ in ("AbleToScale", "ScalingActive"):
        found = condition(autoscaler, type_)
        if text(found, "status") != "False" or text(found, "reason") == "ScalingDisabled":
            continue
        if text(found, "reason") == "AmbiguousSelector":
            return bad(Reason.CONFLICT, text(found, "message"))
        return bad(Reason.METRICS_UNAVAILABLE, text(found, "message"), is_soft=True)
    if text(condition(autoscaler, "ScalingActive"), "status") == "True":
        return good(Reason.SCALING_ACTIVE, "" if has_way_back(world) else _warning(world))
    return unknown("The autoscaler has not looked at its metrics yet")


def _keda_ready(world: World) -> Verdict:
    if kinds.SCALED_OBJECT.kind in world.missing_kinds:
        message = "The cluster does not serve ScaledObject; install KEDA, or use spec.autoscaling.backend: HPA"
        return bad(Reason.CRD_MISSING, message, is_soft=True)
    if world.state.facts is not None and lacks_prometheus(world.service, world.state.facts):
        return bad(Reason.METRICS_UNAVAILABLE, _NO_PROMETHEUS, is_soft=True)
    found = condition(_child(world, kinds.SCALED_OBJECT), "Ready")
    if text(found, "status") == "True":
        return good(Reason.SCALING_ACTIVE)
    if text(found, "status") != "False":
        return unknown("KEDA has not looked at the ScaledObject yet")
    if "already managed by" in text(found, "message"):
        return bad(Reason.CONFLICT, text(found, "message"))
    return bad(Reason.METRICS_UNAVAILABLE, text(found, "message"), is_soft=True)
