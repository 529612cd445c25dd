"""Folders of diffusers: a pipeline of several models, each in a folder of its own, named by `model_index.json`."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.sources.documents import parse_json
from modelservice_runtime.sources.selection import is_unsafe
from modelservice_runtime.sources.variants import NOT_LOADED, PIPELINE_INDEX, choose_weights, count_shards

LIBRARIES = ("diffusers", "transformers")
WITHOUT_WEIGHTS = re.compile(r"(Tokenizer(Fast)?|Scheduler|Processor|FeatureExtractor)$")


def is_pipeline(folder: Path) -> bool:
    """Tell whether a folder holds a pipeline of diffusers."""
    return (folder / PIPELINE_INDEX).is_file()


def parts_of(index: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the library and the class of each part that is loaded."""
    return {
        name: (str(value[0]), str(value[1]))
        for name, value in index.items()
        if isinstance(value, list) and len(value) == 2 and None not in value and not _is_left_out(name)
    }


def needs_remote_code(index: Mapping[str, Any]) -> bool:
    """Tell whether the pipeline, or a part of it, is a class of its repository."""
    if "_class_name" not in index:
        return False
    libraries = {library for library, _ in parts_of(index).values()}
    return isinstance(index["_class_name"], list) or not libraries.issubset(LIBRARIES)


def weight_files(folder: Path) -> list[Path]:
    """Return the weights of all parts. Raises UnusableModel when a part has none, or lacks a shard."""
    paths = [path.relative_to(folder).as_posix() for path in folder.glob("*/*") if path.is_file()]
    chosen = choose_weights(paths)
    files: list[Path] = []
    for part, (_, class_name) in parts_of(read_index(folder)).items():
        if WITHOUT_WEIGHTS.search(class_name):
            continue
        if part not in chosen:
            raise UnusableModel(f"{folder / part} has no safetensors weights{_what_else(paths, part)}")
        _refuse_missing_shards(folder / part, chosen[part][1])
        files += [folder / path for path in chosen[part][1]]
    if not files:
        raise UnusableModel(f"{folder / PIPELINE_INDEX} names no model")
    return files


def read_index(folder: Path) -> dict[str, Any]:
    """Read model_index.json. Raises UnusableModel when it is no JSON object."""
    try:
        index = parse_json(folder / PIPELINE_INDEX)
    except (OSError, ValueError) as error:
        raise UnusableModel(f"{folder / PIPELINE_INDEX} cannot be read: {error}") from None
    if not isinstance(index, dict):
        raise UnusableModel(f"{folder / PIPELINE_INDEX} holds no JSON object")
    return index


def _refuse_missing_shards(folder: Path, paths: list[str]) -> None:
    promised = count_shards(paths[0])
    if len(paths) != promised:
        raise UnusableModel(f"{folder} lacks {promised - len(paths)} of {promised} weight files")


def _what_else(paths: Iterable[str], part: str) -> str:
    others = [path for path in sorted(paths) if path.startswith(f"{part}/") and is_unsafe(path)][:3]
    return f", only {', '.join(others)}, which may run code when loaded" if others else ""


def _is_left_out(name: str) -> bool:
    return name.startswith("_") or name in NOT_LOADED
