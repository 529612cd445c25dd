"""The files beside the weights: which are copied, what is changed in them, and what is left behind.

Only kinds that describe a model are copied: its tokenizer, its processors, its chat template, its card. Pickles and
code stay where they are, and so do weights in other formats.
"""

import json
import shutil
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from modelservice_runtime.sources.selection import DESCRIPTION, is_unsafe

REPORT = "optimization.json"
CARD = "README.md"
CONFIG = "config.json"
CODE = ".py"
WRITTEN_ANEW = (CONFIG, REPORT)
HEADING = "## Prepared by modelservice-runtime optimize"


def companion_files(folder: Path) -> list[str]:
    """Return the paths, relative to the folder, of the files that are copied.

    Weights of modules in subfolders, as sentence-transformers has them, are among them.
    """
    paths = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in paths if _is_companion(path)]


def copy_companions(source: Path, folder: Path) -> None:
    """Copy them."""
    for name in companion_files(source):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target)


def write_config(config: dict[str, Any], folder: Path) -> None:
    """Write config.json."""
    (folder / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_card(folder: Path, source: str, changes: Sequence[str]) -> None:
    """Say at the end of the model's card what was changed."""
    path = folder / CARD
    card = path.read_text(encoding="utf-8", errors="replace").rstrip() + "\n\n" if path.is_file() else ""
    lines = [HEADING, "", f"From `{source}`:", "", *(f"- {change}" for change in changes)]
    lines += ["", f"What this did to size, speed and answers is in `{REPORT}`.", ""]
    path.write_text(card + "\n".join(lines), encoding="utf-8")


def _is_companion(path: str) -> bool:
    parts = path.split("/")
    if any(part.startswith(".") for part in parts) or path in WRITTEN_ANEW:
        return False
    if is_unsafe(path) or path.endswith((CODE, ".index.json")):
        return False
    if path.endswith(".safetensors"):
        return len(parts) > 1
    return any(fnmatchcase(path, pattern) for pattern in DESCRIPTION)
