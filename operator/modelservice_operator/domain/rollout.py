"""Numbers of a rollout and of a pod's life: strategy, start-up budget, drain."""

import math
from typing import Any, Final

from ..api.v1alpha1 import ModelService

STARTUP_PERIOD_SECONDS: Final = 1
"""The admin port answers without touching the model, so asking every second costs nothing and shows a start at once."""

DEFAULT_STARTUP_SECONDS: Final = 1800
"""Least budget when none is given. Downloading does not count, it is over before the server starts; reading 140 GB of
weights from a slow disk takes 1400 s. A server that cannot start ends by itself with an exit code long before."""

SLOW_DISK: Final = 100_000_000
"""Bytes in a second."""

ENDPOINT_SECONDS: Final = 5
"""How long a terminating pod keeps serving, so that every node has stopped sending it requests before it drains."""

MARGIN_SECONDS: Final = 10
"""What is left after the drain before the kernel ends the process."""


def strategy_of(service: ModelService) -> dict[str, Any]:
    """The Deployment's strategy: a pod is added before one is taken away, unless the spec says otherwise.

    Where the accelerators do not suffice for one more, `room` makes Auto replace one pod at a time.
    """
    rollout = service.spec.rollout
    if rollout.strategy == "Recreate":
        return {"type": "Recreate"}
    surge, unavailable = rollout.max_surge, rollout.max_unavailable
    if surge is None and unavailable is None:
        surge, unavailable = 1, 0
    elif surge is None:
        surge = 1 if unavailable in (0, "0%") else 0
    elif unavailable is None:
        unavailable = 1 if surge in (0, "0%") else 0
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def startup_failures(service: ModelService, size_bytes: int = 0) -> int:
    """How many probes a start may fail: the budget, and the time of the golden request, divided by the period.

    Large weights raise a budget that is not given.
    """
    golden = service.spec.rollout.verification
    reading = math.ceil(size_bytes / SLOW_DISK) + DEFAULT_STARTUP_SECONDS - 1400
    budget = service.spec.loader.startup_budget_seconds or max(DEFAULT_STARTUP_SECONDS, reading)
    budget += golden.timeout_seconds if golden is not None else 0
    return max(1, math.ceil(budget / STARTUP_PERIOD_SECONDS))


def grace_seconds(service: ModelService) -> int:
    """How long a pod has from being told to end until it is killed."""
    return ENDPOINT_SECONDS + service.spec.termination.drain_seconds + MARGIN_SECONDS


def wanted_replicas(service: ModelService) -> int | None:
    """The number of replicas that the operator sets; None when an autoscaler owns it.

    With the backend External a scaler may write spec.replicas of the ModelService (through its scale subresource);
    while it has not, or scales the Deployment itself, the number is not ours. A suspended service has none, whoever
    scales it.
    """
    if service.spec.suspend:
        return 0
    if service.spec.autoscaling is not None:
        return service.spec.replicas
    return 1 if service.spec.replicas is None else service.spec.replicas
