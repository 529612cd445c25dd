"""Quantized weights: what each value of `engine.quantization` means, and where it can be computed.

A value is honoured or refused, never replaced by another one: somebody who asked for 4 bits has sized the machine for
them. The one exception is `int8` on a CPU that cannot multiply so, see `models.int8_linear`: the pods of a service run
on CPUs of several kinds, so there the weights are served as they are, and log, status and metrics tell. What decides is
data (a scheme and what the device can do), so the decision is tested where no accelerator is.

Two choices keep one client's answer apart from another's. LLM.int8() (Dettmers et al. 2022) computes columns in 16 bits
in which any row of the batch has an outlier, so a row would depend on its batch-mates; its threshold is off here, at a
price in accuracy. And fp8 scales activations row by row.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from transformers import BitsAndBytesConfig, TorchAoConfig

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.int8_linear import find_obstacle

logger = logging.getLogger(__name__)

NONE = "none"
TORCHAO = "torchao.quantization"
EVERY_DTYPE = ("bfloat16", "float16", "float32")
GROUP_SIZE = 64
"""Weights that share a scale in int4: widths of models are multiples of it more often than of the usual 128."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """A value of `engine.quantization`: its package, the dtypes of activations that it takes, and where it runs.

    `capability` is the least compute capability of an NVIDIA GPU; without `portable` no other accelerator has the
    kernels. On a CPU the inputs of each layer must be a multiple of `cpu_multiple`. Without a package, the weights are
    loaded as they are and this runtime quantizes them. `fastest` is the dtype that `auto` takes, where it is not the
    device's own.
    """

    name: str
    package: str
    configure: Callable[[Any], Any] | None
    dtypes: tuple[str, ...] = EVERY_DTYPE
    capability: tuple[int, int] = (0, 0)
    on_cpu: bool = False
    on_gpu: bool = True
    cpu_multiple: int = 1
    portable: bool = True
    fastest: str = ""


@dataclass(frozen=True, slots=True)
class Silicon:
    """What computes: `cpu` or `cuda`, and the compute capability of an NVIDIA GPU; None where it is something else."""

    kind: str
    capability: tuple[int, int] | None = None


def is_installed(package: str) -> bool:
    """Tell whether a package can be imported."""
    return find_spec(package) is not None


def resolve_quantization(
    name: str, silicon: Silicon, is_installed: Callable[[str], bool] = is_installed
) -> Scheme | None:
    """Return the scheme of a setting, None without one. Raises UnusableModel when it cannot be computed here."""
    if name == NONE:
        return None
    schemes = [each for each in SCHEMES if each.name == name]
    scheme = next((each for each in schemes if not _find_problem(each, silicon)), schemes[0])
    if problem := _find_problem(scheme, silicon):
        others = [NONE, *(each.name for each in SCHEMES if not _find_problem(each, silicon))]
        raise UnusableModel(
            f"engine.quantization {name!r} {problem}", hint=f"set engine.quantization to one of {', '.join(others)}"
        )
    if scheme.package and not is_installed(scheme.package):
        raise UnusableModel(
            f"engine.quantization {name!r} needs the package {scheme.package}, which is not installed",
            hint=f"use an image that has it (modelservice[accelerated]), or set engine.quantization to {NONE}",
        )
    return scheme


def give_way(scheme: Scheme) -> Scheme | None:
    """Return the scheme, or None with a warning when it is this runtime's own and the CPU cannot multiply so."""
    if scheme.package or not (obstacle := find_obstacle()):
        return scheme
    told = {"quantization": scheme.name, "obstacle": obstacle}
    logger.warning("this CPU cannot multiply in 8 bits; the weights are served as they are", extra=told)
    return None


def told_quantization(name: str, device: str) -> str:
    """Return what status and metrics tell of a setting: `none` where the CPU made it give way."""
    return NONE if name == "int8" and device == "cpu" and find_obstacle() else name


def choose_dtype(scheme: Scheme, requested: str, native: str) -> str:
    """Return the dtype of the activations under a scheme: its fastest, `native`, or the one that it can take.

    Raises UnusableModel when another one was asked for.
    """
    dtype = (scheme.fastest or native) if requested == "auto" else requested
    if dtype in scheme.dtypes:
        return dtype
    if requested == "auto":
        return scheme.dtypes[0]
    raise UnusableModel(
        f"engine.quantization {scheme.name!r} computes in {' or '.join(scheme.dtypes)}, and engine.dtype is {dtype}",
        hint=f"set engine.dtype to auto or to {scheme.dtypes[0]}",
    )


def refuse_twice(scheme: Scheme, checkpoint: str, path: Any) -> None:
    """Raise UnusableModel when the weights at a path come quantized already, by the method `checkpoint`."""
    if checkpoint:
        raise UnusableModel(
            f"engine.quantization is {scheme.name!r}, and the weights of {path} are quantized by {checkpoint} already",
            hint=f"set engine.quantization to {NONE}, which serves them as they are",
        )


def check_quantized(model: Any, scheme: Scheme) -> None:
    """Log how many linear layers a scheme took, since libraries pass over those that do not suit it in silence.

    Raises UnusableModel when it took none, or one that cannot be computed.
    """
    linears = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    taken = [module for module in linears if type(module.weight) is not torch.nn.Parameter]
    unsuited = [
        module for module in taken if model.device.type == "cpu" and module.in_features % scheme.cpu_multiple != 0
    ]
    if unsuited or not taken:
        problem = f"{unsuited[0].in_features} inputs of a layer" if unsuited else f"any of {len(linears)} linear layers"
        raise UnusableModel(
            f"engine.quantization {scheme.name!r} does not suit this model: it cannot take {problem}",
            hint=f"set engine.quantization to {NONE}",
        )
    told = {"quantization": scheme.name, "layers": len(taken), "linear_layers": len(linears)}
    logger.info("weights quantized", extra=told)


def _find_problem(scheme: Scheme, silicon: Silicon) -> str:
    """Return why a scheme cannot be computed, an empty string when it can."""
    if silicon.kind == "cpu":
        return "" if scheme.on_cpu else "runs on accelerators only, and this process computes on the CPU"
    if not scheme.on_gpu:
        return "runs on CPUs only"
    if silicon.capability is None:
        return "" if scheme.portable else "has kernels for NVIDIA GPUs only"
    if silicon.capability < scheme.capability:
        needed, found = ((".".join(map(str, each))) for each in (scheme.capability, silicon.capability))
        return f"needs a GPU of compute capability {needed}, and this one has {found}"
    return ""


def _eight_bits(_dtype: Any) -> Any:
    return TorchAoConfig(import_module(TORCHAO).Int8WeightOnlyConfig())


def _four_bits(_dtype: Any) -> Any:
    """Groups in the layout of tinygemm's kernel, which torch itself has."""
    configure = import_module(TORCHAO).Int4WeightOnlyConfig
    return TorchAoConfig(configure(group_size=GROUP_SIZE, int4_packing_format="tile_packed_to_4d"))


def _eight_bit_floats(_dtype: Any) -> Any:
    torchao = import_module(TORCHAO)
    return TorchAoConfig(torchao.Float8DynamicActivationFloat8WeightConfig(granularity=torchao.PerRow()))


def _int8_rows(_dtype: Any) -> Any:
    """LLM.int8() without its exception for outliers; the library warns of each cast of each layer in each pass."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    return BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=0.0)


def _normal_floats(dtype: Any) -> Any:
    """4 bits at the quantiles of a normal distribution, a scale for each 64 weights (Dettmers et al. 2023)."""
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)


SCHEMES = (
    Scheme("int8", "torchao", _eight_bits),
    Scheme("int8", "", None, ("float32", "bfloat16"), on_cpu=True, on_gpu=False, fastest="float32"),
    Scheme("int4", "torchao", _four_bits, ("bfloat16",), (8, 0), portable=False),
    Scheme("fp8", "torchao", _eight_bit_floats, ("bfloat16",), (8, 9), portable=False),
    Scheme("bnb-int8", "bitsandbytes", _int8_rows, capability=(7, 5), on_cpu=True),
    Scheme("bnb-nf4", "bitsandbytes", _normal_floats, capability=(6, 0), on_cpu=True, cpu_multiple=64),
)
