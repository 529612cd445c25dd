"""Which device and which dtype, decided once, logged, and told by /status and the metrics.

On a CPU the answer depends on the silicon: bfloat16 halves the memory traffic where AVX512-BF16 or AMX exist, and is
emulated, slower than float32, where they do not. An explicit dtype is honoured or refused, never silently changed.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch

from modelservice_runtime.config import Settings
from modelservice_runtime.engine.resources import Resources
from modelservice_runtime.errors import AcceleratorMissing, UnusableModel
from modelservice_runtime.models.accelerator import read_silicon
from modelservice_runtime.models.compiling import refuse_compiling
from modelservice_runtime.models.quantization import NONE, Scheme, choose_dtype, give_way, resolve_quantization

F = TypeVar("F", bound=Callable[..., Any])

logger = logging.getLogger(__name__)

CPU_CACHE_SHARE = 0.25
ACCELERATOR_CACHE_SHARE = 0.8
HALVES = ("bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class Placement:
    """The device (`cpu`, `cuda:0`), the dtype (`float32`, ...) and the quantization that the model is computed in."""

    device: str
    dtype: str
    scheme: Scheme | None = None

    @property
    def torch_dtype(self) -> Any:
        """The dtype as torch names it."""
        return getattr(torch, self.dtype)


def choose_placement(settings: Settings, checkpoint_dtype: str, resources: Resources) -> Placement:
    """Choose device and dtype, and give torch its threads. Raises AcceleratorMissing or UnusableModel."""
    torch.set_num_threads(resources.cpus)
    device = _choose_device(settings)
    requested: str = settings.engine.dtype
    dtype = _native_dtype(device, checkpoint_dtype) if requested == "auto" else requested
    scheme = resolve_quantization(settings.engine.quantization, read_silicon(device))
    if scheme is not None:
        suited = choose_dtype(scheme, requested, dtype)
        scheme = give_way(scheme)
        dtype = dtype if scheme is None else suited
    if settings.engine.compile:
        refuse_compiling(device)
        _refuse_compiled_integers(scheme)
    logger.info(
        "placement chosen",
        extra={
            "device": device,
            "dtype": dtype,
            "requested_dtype": requested,
            "quantization": NONE if scheme is None else scheme.name,
            "checkpoint_dtype": checkpoint_dtype or "unknown",
            "cpu_bfloat16": cpu_computes_bfloat16(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "threads": resources.cpus,
            "memory_bytes": resources.memory_bytes,
        },
    )
    return Placement(device, dtype, scheme)


def without_gradients(function: F) -> F:
    """Run a function in torch's inference mode: no graph is kept and no versions are counted."""
    return cast(F, torch.inference_mode()(function))


def cpu_computes_bfloat16() -> bool:
    """Tell whether this CPU has instructions for bfloat16 products."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def cache_bytes(placement: Placement, resources: Resources) -> int:
    """Return how many bytes a KV cache may take: a share of the memory limit, or of what the accelerator has free."""
    if placement.device == "cpu":
        return int(CPU_CACHE_SHARE * resources.memory_bytes)
    free, _ = torch.cuda.mem_get_info(placement.device)
    return int(ACCELERATOR_CACHE_SHARE * free)


def read_memory() -> dict[str, dict[str, int]]:
    """Return the bytes of each device that are allocated, reserved by the allocator, and there; any thread."""
    return {
        f"cuda:{index}": {
            "allocated": torch.cuda.memory_allocated(index),
            "reserved": torch.cuda.memory_reserved(index),
            "total": torch.cuda.get_device_properties(index).total_memory,
        }
        for index in range(torch.cuda.device_count())
    }


def is_fatal(error: Exception) -> bool:
    """Tell whether the device is beyond use after this error; running out of memory is not."""
    if isinstance(error, torch.OutOfMemoryError):
        return False
    return isinstance(error, torch.AcceleratorError) or "CUDA error" in str(error)


def _choose_device(settings: Settings) -> str:
    accelerator = settings.accelerator
    if accelerator.count == 0 or accelerator.simulated:
        return "cpu"
    if torch.cuda.is_available() and torch.cuda.device_count() > 0:
        _refuse_several(accelerator.count)
        return "cuda:0"
    raise AcceleratorMissing(
        f"{accelerator.count} x {accelerator.resource} were asked for, and torch {torch.__version__} sees no device"
    )


def _refuse_several(count: int) -> None:
    """Raise UnusableModel when a model should be spread over accelerators, instead of leaving all but one idle."""
    if count > 1:
        raise UnusableModel(
            f"accelerator.count is {count}, and this runtime computes a model on one accelerator",
            hint="set spec.accelerator.count to 1; a model that does not fit one may do so with engine.quantization",
        )


def _refuse_compiled_integers(scheme: Scheme | None) -> None:
    """Raise UnusableModel when layers that this runtime quantizes should be compiled: the compiler packs plain ones."""
    if scheme is not None and not scheme.package:
        raise UnusableModel(
            f"engine.compile and engine.quantization {scheme.name!r} do not go together on a CPU",
            hint="set engine.compile to false, or engine.quantization to none",
        )


def _native_dtype(device: str, checkpoint_dtype: str) -> str:
    if device != "cpu":
        return checkpoint_dtype if checkpoint_dtype in (*HALVES, "float32") else "bfloat16"
    return "bfloat16" if checkpoint_dtype in HALVES and cpu_computes_bfloat16() else "float32"
