"""Reads the JSON files of a model, which strangers wrote: whatever is in them ends in the errors named here."""

import json
from pathlib import Path
from typing import Any

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.sources.selection import is_unsafe


def parse_json(path: Path) -> Any:
    """Return what a JSON file holds. Raises OSError when it cannot be read, ValueError when it is no JSON in UTF-8."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def shard_names(index: Path) -> list[str]:
    """Return the weight files that an index names, sorted.

    Raises UnusableModel when it is no index, or names anything but safetensors files beside it: a path could lead to
    the files of another model.
    """
    try:
        names = sorted({str(name) for name in parse_json(index)["weight_map"].values()})
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise UnusableModel(f"{index} is no safetensors index") from None
    wrong = [name for name in names if "/" in name or is_unsafe(name) or not name.endswith(".safetensors")]
    if wrong:
        raise UnusableModel(f"{index} names {wrong[0]!r}, which is no safetensors file beside it")
    return names
