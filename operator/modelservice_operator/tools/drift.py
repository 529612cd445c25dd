"""Writing generated files, or telling how the committed ones differ from their source.

Generated files are committed so that a reader sees what a change of the source does to them; the price is that they
can be stale, which the check takes away.
"""

import difflib
import sys
from collections.abc import Mapping
from pathlib import Path


def repository_root() -> Path:
    """The folder of the checkout.

    Raises:
        FileNotFoundError: this package is installed without a checkout around it, so there is nothing to generate into.
    """
    for folder in Path(__file__).resolve().parents:
        if (folder / "pyproject.toml").is_file() and (folder / "charts").is_dir():
            return folder
    raise FileNotFoundError("no checkout around this package: run the generators from a clone of the repository")


def publish(files: Mapping[Path, str], *, check: bool, command: str) -> int:
    """Write each file, or with `check` print a diff for each that is not as its source makes it.

    Args:
        files: the content that each path must have.
        check: change nothing.
        command: what makes the files, for the message.

    Returns:
        The exit status: 1 when `check` found a difference, else 0.
    """
    stale = [path for path, text in files.items() if read(path) != text]
    if not check:
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
            print(f"wrote {path}")
        return 0
    for path in stale:
        before, after = read(path).splitlines(keepends=True), files[path].splitlines(keepends=True)
        sys.stderr.writelines(difflib.unified_diff(before, after, f"{path} (committed)", f"{path} (generated)"))
    if stale:
        print(f"{len(stale)} generated file(s) differ from their source: run `{command}`", file=sys.stderr)
    return 1 if stale else 0


def read(path: Path) -> str:
    """The text of the file, empty when there is none."""
    return path.read_text(encoding="utf-8") if path.is_file() else ""
