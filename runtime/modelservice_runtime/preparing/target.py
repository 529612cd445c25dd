"""The folder that is written: checked before, filled aside, and given its place when it is complete.

Files are written below `.partial` in the target, which `inspect` and `serve` refuse to read, and renamed into place at
the end; the target itself may be a mount point, which cannot be swapped. When anything goes wrong, what was written is
removed. Only a killed process can leave a `.partial`, and the next run begins anew.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelservice_runtime.errors import BadSettings
from modelservice_runtime.sources.staging import FILES, KEY_FILE, STAGE, disk_errors, open_stage

KEY = "optimize"
OF_THE_VOLUME = ("lost+found",)


def check_target(target: Path, source: Path) -> None:
    """Raise BadSettings when DST holds something, or lies where SRC does."""
    if target.resolve() == source.resolve() or target.resolve().is_relative_to(source.resolve()):
        raise BadSettings(f"DST: {target} lies in the source {source}", hint="name a folder outside of the source")
    if target.exists() and not target.is_dir():
        raise BadSettings(f"DST: {target} is a file", hint="name a folder that is not there yet, or empty")
    if target.is_dir() and not _was_ours(target):
        found = sorted(each.name for each in target.iterdir() if each.name not in OF_THE_VOLUME)
        if found:
            raise BadSettings(
                f"DST: {target} is not empty (it holds {', '.join(found[:3])})",
                hint="name a folder that is not there yet, or empty it first",
            )


@contextmanager
def filling(target: Path) -> Iterator[Path]:
    """Give a folder to write into, whose files become the target's when the block ends well.

    Raises BadSettings when the target cannot be written, DiskFull when the volume runs full.
    """
    existed = target.exists()
    if existed and _was_ours(target):
        _clear(target)
    try:
        with disk_errors(target):
            stage = open_stage(target, KEY)
            yield stage
            _publish(target, stage)
    except BaseException:
        _clear(target)
        if not existed and target.is_dir():
            target.rmdir()
        raise


def scratch_folder(stage: Path) -> Path:
    """Return a folder beside the staged files for what is needed on the way; it goes with them."""
    folder = stage.parent / "scratch"
    folder.mkdir(exist_ok=True)
    return folder


def _publish(target: Path, stage: Path) -> None:
    for entry in sorted(stage.iterdir()):
        entry.rename(target / entry.name)
    shutil.rmtree(target / STAGE)


def _was_ours(target: Path) -> bool:
    """Tell whether an earlier run was killed while it filled this folder: all that it holds is of that run."""
    key = target / STAGE / KEY_FILE
    return key.is_file() and key.read_text(encoding="utf-8") == KEY and (target / STAGE / FILES).is_dir()


def _clear(target: Path) -> None:
    if not target.is_dir():
        return
    for entry in target.iterdir():
        if entry.name in OF_THE_VOLUME:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
