"""Whether a model fits what its pods get, judged by the size of its weights before anything is fetched.

Only what is certain keeps pods from being made: weights that are larger than all memory of the accelerators, and files
that are larger than the disk that the pod may use. Everything else is for the runtime to find out.
"""

import re
from typing import Final

from ..api.quantity import parse_quantity
from ..api.reasons import Reason, default_hint
from ..api.v1alpha1 import ModelService, RuntimeProfile
from ..api.v1alpha1.workload import SERVED_TASKS
from .diagnose import Diagnosis
from .engines import server_of
from .inspection import Inspection
from .placement import accelerator_of

_NAMED_MEMORY: Final = re.compile(r"(?<![0-9])([0-9]{1,4})gb\b", re.IGNORECASE)
"""Memory in the name of a product (NVIDIA-A100-SXM4-80GB) or of a slice (nvidia.com/mig-1g.5gb)."""

_BYTES: Final = {"float32": 4, "float16": 2, "bfloat16": 2}
_HALF: Final = 2
"""Bytes of a number where the runtime chooses the format on an accelerator."""

_USABLE: Final = 0.9
"""Share of a device's memory that is left for weights and KV cache beside the driver and working memory."""

_DISK: Final = "ephemeral-storage"


def misfit(service: ModelService, profile: RuntimeProfile | None, found: Inspection) -> Diagnosis | None:
    """Why the model cannot be served with this spec; None when nothing speaks against it."""
    unknown = None if server_of(profile) else _unsupported(service, found)
    return unknown or _too_large(service, profile, found) or _disk_full(service, profile, found)


def fitting_context(service: ModelService, profile: RuntimeProfile | None, found: Inspection) -> int:
    """The longest context whose KV cache fits beside the weights, for one sequence; 0 when that is not known."""
    memory = accelerator_memory(service, profile)
    if not memory or not found.cache_values_per_token:
        return 0
    width = _BYTES.get(service.spec.runtime.engine.dtype, _HALF)
    room = memory * _USABLE - weight_bytes(service, found)
    fitting = max(0, int(room / (found.cache_values_per_token * width)))
    return min(fitting, found.max_context) if found.max_context else fitting


def fit_message(service: ModelService, profile: RuntimeProfile | None, found: Inspection) -> str:
    """What is known of the model's size and its room, in a few words; empty when nothing is."""
    if not found.size_bytes:
        return ""
    context = fitting_context(service, profile, found)
    room = f"; fits with maxContext <= {context:,}" if context else ""
    return f"{gigabytes(found.size_bytes)} of weights{room}"


def accelerator_memory(service: ModelService, profile: RuntimeProfile | None) -> int:
    """Bytes of all accelerators of a replica; 0 on the CPU, and where neither profile nor a name tells."""
    count, resource = accelerator_of(service, profile)
    if not count or (profile is not None and profile.spec.simulated):
        return 0
    product = service.spec.accelerator.product if service.spec.accelerator else ""
    given = profile.spec.accelerator if profile else None
    named = _NAMED_MEMORY.findall(product) or _NAMED_MEMORY.findall(resource)
    if named:
        return count * int(named[-1]) * 2**30
    stated = given.memory if given is not None and given.resource == resource and not product else None
    return count * int(parse_quantity(stated)) if stated is not None else 0


def weight_bytes(service: ModelService, found: Inspection) -> int:
    """Fewest bytes of the weights in memory: in the number format of the spec, else as stored, or in half precision."""
    if service.spec.runtime.engine.quantization != "none":
        return found.parameters // 2
    width = _BYTES.get(service.spec.runtime.engine.dtype, 0)
    if width and found.parameters:
        return found.parameters * width
    return min(found.size_bytes, found.parameters * _HALF) if found.parameters else found.size_bytes


def gigabytes(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def _unsupported(service: ModelService, found: Inspection) -> Diagnosis | None:
    """A model whose architecture the image lacks, or of which nothing names a task that is served."""
    what = f"The architecture {found.architecture}" if found.architecture else "A config.json without an architecture"
    if found.unknown_architecture and found.needs_remote_code:
        return None if service.spec.model.trust_remote_code else _untrusted(what)
    if found.unknown_architecture:
        message = f"{what} is not one that the runtime's image knows"
        return _verdict(Reason.UNSUPPORTED_MODEL, message, "Use another model, or an image with a newer transformers")
    is_described = bool(found.parameters)
    if not is_described or service.spec.model.task != "auto" or found.task in SERVED_TASKS:
        return None
    message = f"{what} tells no task that this version serves"
    return _verdict(Reason.UNSUPPORTED_MODEL, message, "Set spec.model.task if one fits, or use another model")


def _untrusted(what: str) -> Diagnosis:
    message = f"{what} is defined by Python code that comes with the model, which is not run"
    hint = "Set spec.model.trustRemoteCode with a RuntimeProfile that allows it, or use another model"
    return _verdict(Reason.UNSUPPORTED_MODEL, message, hint)


def _too_large(service: ModelService, profile: RuntimeProfile | None, found: Inspection) -> Diagnosis | None:
    memory, weights = accelerator_memory(service, profile), weight_bytes(service, found)
    if not memory or weights <= memory:
        return None
    count, resource = accelerator_of(service, profile)
    message = f"The weights take {gigabytes(weights)} and {count} {resource} of a replica hold {gigabytes(memory)}"
    return _verdict(Reason.MODEL_TOO_LARGE, message)


def _disk_full(service: ModelService, profile: RuntimeProfile | None, found: Inspection) -> Diagnosis | None:
    """The kubelet evicts a pod whose own volumes, not its cache, outgrow the larger of its containers' limits."""
    if service.spec.cache.strategy != "None":
        return None
    server = {**(profile.spec.resources.limits if profile else {}), **service.spec.resources.limits}
    sides = (server, service.spec.loader.resources.limits)
    limits = [parse_quantity(side[_DISK]) for side in sides if _DISK in side]
    if not limits or found.size_bytes <= max(limits):
        return None
    message = f"The files take {gigabytes(found.size_bytes)} and the pod may use {gigabytes(int(max(limits)))} of disk"
    return _verdict(Reason.DISK_FULL, message)


def _verdict(reason: Reason, message: str, hint: str = "") -> Diagnosis:
    return Diagnosis("preflight", reason, message, hint or default_hint(reason))
