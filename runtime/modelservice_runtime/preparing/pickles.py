"""Finds pickled checkpoints, by the names that transformers gives them, without reading them."""

import json
from pathlib import Path

from modelservice_runtime.errors import UnusableModel

SINGLE = "pytorch_model.bin"
INDEX = "pytorch_model.bin.index.json"


def pickled_files(folder: Path) -> list[Path]:
    """Return the pickled checkpoint of a folder, empty when there is none. Raises UnusableModel when a part lacks."""
    if (folder / INDEX).is_file():
        try:
            places = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()
            names = sorted({str(name) for name in places})
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            raise UnusableModel(f"{folder / INDEX} is no index of a checkpoint") from None
        if missing := [name for name in names if not (folder / name).is_file() or "/" in name]:
            raise UnusableModel(f"{folder} lacks {len(missing)} of {len(names)} weight files, among them {missing[0]}")
        return [folder / name for name in names]
    return [folder / SINGLE] if (folder / SINGLE).is_file() else []
