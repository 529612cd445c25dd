"""Checks whether a model can be prepared as asked, before torch is imported and before anything is written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelservice_runtime.errors import BadSettings, ModelNotFound, UnusableModel
from modelservice_runtime.preparing.companions import companion_files
from modelservice_runtime.preparing.options import KEEP, PrepareOptions
from modelservice_runtime.preparing.pickles import pickled_files
from modelservice_runtime.sources.headers import TensorSummary
from modelservice_runtime.sources.inspect import inspect_folder, read_config, weight_files
from modelservice_runtime.sources.pipelines import is_pipeline
from modelservice_runtime.sources.staging import require_space

BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I8": 1, "U8": 1, "float32": 4, "bfloat16": 2, "float16": 2}
COMPARED = 3
"""Before and after as they are served, and one more for its logits."""
OVERHEAD_BYTES = 600 << 20
FLOATS = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True)
class Plan:
    """A model that can be prepared: its folder, its config.json, and its weights, pickled or not.

    `weight_bytes` lie on disk now, `needed_bytes` will at most be written, `loaded_bytes` the model takes in float32.
    """

    folder: Path
    config: dict[str, Any]
    pickles: list[Path]
    weight_bytes: int
    needed_bytes: int
    loaded_bytes: int


def plan_preparation(folder: Path, options: PrepareOptions) -> Plan:
    """Return the plan. Raises ModelNotFound or UnusableModel, and says what stands against it."""
    if not folder.is_dir():
        raise ModelNotFound(f"SRC: there is no folder {folder}", hint="name a model's folder, or its address")
    if is_pipeline(folder):
        raise UnusableModel(
            f"{folder} is a pipeline of diffusers, which `optimize` does not prepare",
            hint="serve it as it is; engine.dtype casts it at load",
        )
    config = read_config(folder)
    pickles = _pickles(folder, options)
    _refuse(folder, config)
    if pickles:
        weights = sum(path.stat().st_size for path in pickles)
        needed, loaded = 2 * weights, weights
    else:
        inspect_folder(folder)
        summary = TensorSummary()
        for path in weight_files(folder):
            summary.add_file(path)
        weights, needed = summary.size_bytes, _written_bytes(summary, options)
        loaded = BYTES["float32"] * summary.total
    companions = sum((folder / name).stat().st_size for name in companion_files(folder))
    return Plan(folder, config, pickles, weights, needed + companions, loaded)


def require_room(plan: Plan, target: Path) -> None:
    """Raise DiskFull when the volume of the target, or of the nearest folder above it, is too small."""
    existing = next(folder for folder in (target.absolute(), *target.absolute().parents) if folder.is_dir())
    require_space(existing, plan.needed_bytes)


def require_memory(plan: Plan, options: PrepareOptions, memory_bytes: int) -> None:
    """Raise BadSettings when the models of the comparison need more memory than this process may use."""
    needed = COMPARED * plan.loaded_bytes + OVERHEAD_BYTES if options.rounds else 0
    if needed > memory_bytes:
        raise BadSettings(
            f"--rounds {options.rounds}: comparing the model before and after takes about {needed / 1e9:.1f} GB of "
            f"memory ({COMPARED} models, four bytes a parameter), and this process may use {memory_bytes / 1e9:.1f} GB",
            hint="give it more memory, or --rounds 0, which compares nothing",
        )


def _pickles(folder: Path, options: PrepareOptions) -> list[Path]:
    """Return the pickled files to convert. Raises UnusableModel when there are such files only, and no leave."""
    if any(folder.glob("*.safetensors")):
        return []
    files = pickled_files(folder)
    if files and not options.convert_pickle:
        raise UnusableModel(
            f"{folder} has no safetensors weights, only {files[0].name}, which may run code when loaded",
            hint="--convert-pickle reads it with torch's restricted reader and writes safetensors",
        )
    return files


def _refuse(folder: Path, config: dict[str, Any]) -> None:
    if "auto_map" in config:
        raise UnusableModel(
            f"{folder} needs Python code of its repository (auto_map in config.json), which is not run and not copied",
            hint="use a model of an architecture that transformers has",
        )
    if quantized := config.get("quantization_config"):
        method = quantized.get("quant_method", "unknown") if isinstance(quantized, dict) else "unknown"
        raise UnusableModel(
            f"{folder} is quantized already (quant_method {method!r} in config.json)",
            hint="name the model that it was quantized from",
        )


def _written_bytes(summary: TensorSummary, options: PrepareOptions) -> int:
    """Return at most how many bytes the weights will have; pruning and integers make them fewer."""
    if options.dtype == KEEP:
        return summary.size_bytes
    widths = {name: BYTES[options.dtype] if name in FLOATS else BYTES.get(name, 8) for name in summary.parameters}
    return sum(count * widths[name] for name, count in summary.parameters.items())
