"""Fills a model folder so that no reader ever takes a half-written one for a model.

A fetch writes into the subfolder `.partial` of the target, which survives a restart and lets the next try go on. When
all files are complete and verified they are renamed into place, then the marker is written, then `.partial` goes. The
target itself cannot be swapped, because in a pod it is a mount point; so a folder with a `.partial` in it is an
unfinished one, and `inspect` and `serve` refuse it.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from modelservice_runtime.errors import BadSettings, DiskFull
from modelservice_runtime.sources.documents import parse_json

STAGE: Final = ".partial"
MARKER: Final = ".modelservice.json"
KEY_FILE: Final = "key"
FILES: Final = "files"
RESERVE_BYTES: Final = 32 << 20
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Marker:
    """What a finished fetch says about its folder; `files` maps paths to sizes in bytes."""

    uri: str
    key: str
    resolved_revision: str
    files: Mapping[str, int]


def read_marker(folder: Path) -> Marker | None:
    """Return the marker of a fetched folder, None for one that was not fetched by us or is unfinished."""
    if is_unfinished(folder):
        return None
    try:
        return Marker(**parse_json(folder / MARKER))
    except (OSError, ValueError, TypeError):
        return None


def is_unfinished(folder: Path) -> bool:
    """Tell whether a fetch into the folder was interrupted."""
    return (folder / STAGE).exists()


def is_current(folder: Path, key: str) -> bool:
    """Tell whether the folder already holds, complete, what `key` stands for."""
    marker = read_marker(folder)
    return marker is not None and marker.key == key and _has_files(folder, marker)


def is_complete(folder: Path) -> bool:
    """Tell whether the folder holds all that some finished fetch brought."""
    marker = read_marker(folder)
    return marker is not None and _has_files(folder, marker)


def _has_files(folder: Path, marker: Marker) -> bool:
    return all(
        (folder / name).is_file() and (folder / name).stat().st_size == size for name, size in marker.files.items()
    )


def open_stage(folder: Path, key: str) -> Path:
    """Return the subfolder to write the files into; what an earlier fetch of another key left is removed.

    Raises BadSettings when the target is not a writable folder.
    """
    stage = folder / STAGE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if stage.exists() and _read_key(stage) != key:
            shutil.rmtree(stage)
        (stage / FILES).mkdir(parents=True, exist_ok=True)
        (stage / KEY_FILE).write_text(key, encoding="utf-8")
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull(f"{folder} has no space left") from None
        raise BadSettings(
            f"{folder} cannot be written: {error.strerror}", hint="mount a writable volume there"
        ) from None
    return stage / FILES


def require_space(folder: Path, needed: int) -> None:
    """Raise DiskFull when the volume of `folder` lacks `needed` bytes and a small reserve."""
    free = shutil.disk_usage(folder).free
    if needed + RESERVE_BYTES > free:
        raise DiskFull(
            f"the model needs {_megabytes(needed)} more and the volume at {folder} has {_megabytes(free)} free"
        )


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn the system's word for a full disk or quota, at any depth of the causes, into DiskFull."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, OSError) and cause.errno in FULL:
                raise DiskFull(f"the volume at {folder} ran full: {cause.strerror}") from error
            cause = cause.__cause__ or cause.__context__
        raise


def publish(folder: Path, marker: Marker) -> None:
    """Move the staged files of the marker into place, replacing those of an earlier fetch."""
    stage = folder / STAGE
    for name in _files_of_earlier_fetch(folder):
        if name not in marker.files:
            (folder / name).unlink(missing_ok=True)
    for name in marker.files:
        staged, final = stage / FILES / name, folder / name
        final.parent.mkdir(parents=True, exist_ok=True)
        if staged.exists() or not final.exists():
            os.replace(staged, final)
    temporary = stage / "marker"
    temporary.write_text(json.dumps(asdict(marker)), encoding="utf-8")
    os.replace(temporary, folder / MARKER)
    shutil.rmtree(stage)


def _files_of_earlier_fetch(folder: Path) -> list[str]:
    try:
        return list(parse_json(folder / MARKER)["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _read_key(stage: Path) -> str:
    try:
        return (stage / KEY_FILE).read_text(encoding="utf-8")
    except OSError:
        return ""


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
