"""What the scheduler says about a pod that it cannot place, as a reason.

The scheduler reports, node by node, the first of its filters that turned the node down: `0/3 nodes are available: 1
Insufficient nvidia.com/gpu, 2 node(s) had untolerated taint(s). preemption: ...`. Taints are looked at first, then
labels, then resources, so a node that lacks a resource came closest to fitting, and its lack is the cause to tell. The
scheduler's own text is always kept.
"""

import re
from collections.abc import Collection
from typing import Final

from ..api.reasons import Reason

_PREEMPTION: Final = re.compile(r"[.,]?\s*(no new claims to deallocate|preemption:).*", re.DOTALL)
_INSUFFICIENT: Final = re.compile(r"Insufficient ([A-Za-z0-9][A-Za-z0-9./_-]*)")
_TAINT_KEYS: Final = re.compile(r"untolerated taint\(?s?\)? \{([^}:]*)")

_CLAIMS: Final = (
    "persistentvolumeclaim",
    "resourceclaim",
    "volume node affinity",
    "volume binding",
    "cannot allocate all",
)
_FULL: Final = ("Insufficient ", "Too many pods", "free ports")
_MISMATCH: Final = ("node affinity", "node selector", "affinity rules", "topology spread", "no nodes available")


def scheduling_reason(message: str, accelerators: Collection[str]) -> Reason:
    """Classify the scheduler's message about a pod that asks for the given accelerator resources."""
    cause = _PREEMPTION.sub("", message)
    lower = cause.lower()
    if any(word in lower for word in _CLAIMS):
        return Reason.CLAIM_PENDING
    if any(key.strip() in accelerators for key in _TAINT_KEYS.findall(cause)):
        return Reason.UNTOLERATED_TAINT
    if any(name.rstrip(".") in accelerators for name in _INSUFFICIENT.findall(cause)):
        return Reason.INSUFFICIENT_GPU
    if any(word in cause for word in _FULL):
        return Reason.INSUFFICIENT_RESOURCES
    if any(word in lower for word in _MISMATCH):
        return Reason.NO_MATCHING_NODE
    return Reason.UNTOLERATED_TAINT if "untolerated taint" in lower else Reason.NO_MATCHING_NODE


def shortened(message: str) -> str:
    """The scheduler's message without what it says about preemption."""
    return _PREEMPTION.sub("", message).strip().rstrip(".")
