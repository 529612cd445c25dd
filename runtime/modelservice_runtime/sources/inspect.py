"""Tells what a model is from `config.json` and the headers of its safetensors files: no torch, a few milliseconds.

A pipeline of diffusers has `model_index.json` instead. The same description goes into the result of `fetch`, the output
of `inspect` and the server's `/status`. Whatever makes a folder impossible to serve is found here, before anything
heavy is imported.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelservice_runtime.errors import ModelNotFound, UnusableModel
from modelservice_runtime.sources import pipelines
from modelservice_runtime.sources.architecture import architecture_of, task_of
from modelservice_runtime.sources.context import cache_values_of, max_context_of
from modelservice_runtime.sources.documents import parse_json, shard_names
from modelservice_runtime.sources.headers import TensorSummary
from modelservice_runtime.sources.selection import is_unsafe
from modelservice_runtime.sources.staging import is_unfinished, read_marker

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


@dataclass(frozen=True)
class ModelCard:
    """What is known about a model; None where its files do not tell.

    `size_bytes` counts the weights; `dtype` is the type of most parameters; `needs_remote_code` means that config.json
    refers to Python code of the repository. `max_context` is in tokens, and `cache_values_per_token` counts the numbers
    that one of them takes in the KV cache. `is_known` says whether the library has the architecture, for models that
    were described from afar.
    """

    architecture: str | None
    task: str | None
    parameters: int | None
    dtype: str | None
    size_bytes: int | None
    format: str = "safetensors"
    resolved_revision: str | None = None
    needs_remote_code: bool = False
    max_context: int | None = None
    cache_values_per_token: int | None = None
    model_type: str = ""
    is_known: bool | None = None

    def to_result(self) -> dict[str, Any]:
        """Return the card with the names that the termination message and `/status` use."""
        return {
            "resolvedRevision": self.resolved_revision,
            "sizeBytes": self.size_bytes,
            "format": self.format,
            "architecture": self.architecture,
            "parameters": self.parameters,
            "dtype": self.dtype,
            "task": self.task,
            "maxContext": self.max_context,
            "cacheValuesPerToken": self.cache_values_per_token,
            "architectureKnown": self.is_known,
            "needsRemoteCode": self.needs_remote_code,
        }


def inspect_folder(path: Path | str) -> ModelCard:
    """Describe the model in a folder.

    Raises ModelNotFound when there is no folder, UnusableModel when it holds no model, an unfinished download, damaged
    weights, or weights in formats that are not read.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise ModelNotFound(f"there is no folder {folder}", hint="check model.path, the volume and its subPath")
    if is_unfinished(folder):
        raise UnusableModel(f"{folder} holds an unfinished download", hint="run `modelservice-runtime fetch` again")
    config = read_config(folder)
    summary = TensorSummary()
    for file in weight_files(folder):
        summary.add_file(file)
    marker = read_marker(folder)
    return describe(config, summary, has_chat_template(folder), marker.resolved_revision if marker else None)


def is_adapter(folder: Path) -> bool:
    """Tell whether a folder holds a LoRA adapter, as peft saves it, and no model beside it."""
    return (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file()


def inspect_adapter(folder: Path) -> ModelCard:
    """Describe an adapter by its weights alone. Raises UnusableModel for an unfinished download and damaged weights."""
    if is_unfinished(folder):
        raise UnusableModel(f"{folder} holds an unfinished download", hint="run `modelservice-runtime fetch` again")
    summary = TensorSummary()
    for file in weight_files(folder):
        summary.add_file(file)
    marker = read_marker(folder)
    return ModelCard(
        architecture=None,
        task=None,
        parameters=summary.total,
        dtype=summary.dtype or None,
        size_bytes=summary.size_bytes,
        resolved_revision=marker.resolved_revision if marker else None,
    )


def describe(config: Mapping[str, Any], summary: TensorSummary, chat_template: bool, revision: str | None) -> ModelCard:
    """Put a card together from its parts."""
    return ModelCard(
        architecture=architecture_of(config),
        task=task_of(config, has_chat_template=chat_template),
        parameters=summary.total,
        dtype=summary.dtype or None,
        size_bytes=summary.size_bytes,
        resolved_revision=revision,
        needs_remote_code="auto_map" in config or pipelines.needs_remote_code(config),
        max_context=max_context_of(config),
        cache_values_per_token=cache_values_of(config),
        model_type=str(config.get("model_type") or ""),
    )


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json, or a pipeline's model_index.json. Raises UnusableModel when it is missing or no JSON object."""
    if pipelines.is_pipeline(folder):
        return pipelines.read_index(folder)
    path = folder / "config.json"
    try:
        config = parse_json(path)
    except FileNotFoundError:
        raise UnusableModel(f"{folder} has no config.json") from None
    except (OSError, ValueError) as error:
        raise UnusableModel(f"{path} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise UnusableModel(f"{path} holds no JSON object")
    return config


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files that make up the model: the index's shards, the single file, or all there are.

    Raises UnusableModel when there are none or a shard is missing.
    """
    if pipelines.is_pipeline(folder):
        return pipelines.weight_files(folder)
    if (folder / INDEX).is_file():
        return _shards(folder)
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        others = sorted(file.name for file in folder.iterdir() if is_unsafe(file.name))[:3]
        found = f", only {', '.join(others)}, which may run code when loaded" if others else ""
        raise UnusableModel(f"{folder} has no safetensors weights{found}")
    return files


def _shards(folder: Path) -> list[Path]:
    names = shard_names(folder / INDEX)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise UnusableModel(f"{folder} lacks {len(missing)} of {len(names)} weight files, among them {missing[0]}")
    return [folder / name for name in names]


def has_chat_template(folder: Path) -> bool:
    """Tell whether the tokenizer comes with a chat template."""
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    try:
        return bool(parse_json(folder / "tokenizer_config.json").get("chat_template"))
    except (OSError, ValueError, AttributeError):
        return False
