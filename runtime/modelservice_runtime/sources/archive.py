"""Unpacks an archive that nobody vouches for.

Only regular files with plain relative names are written; links, devices, absolute names and names that climb out of
the folder are refused, and so are archives of very many or very large files. An archive whose files all lie in one
folder is unpacked as if they lay at its root.
"""

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.sources.selection import is_unsafe
from modelservice_runtime.sources.staging import require_space

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")
MAX_MEMBERS = 10_000
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    file: IO[bytes]


def extract_archive(archive: Path, target: Path) -> None:
    """Write the archive's files into `target`; formats that run code when loaded are left in the archive.

    Raises UnusableModel for a damaged or hostile archive and DiskFull when its content does not fit the volume.
    """
    read = _read_zip if archive.name.endswith(".zip") else _read_tar
    try:
        for count, member in enumerate(read(archive)):
            if count >= MAX_MEMBERS:
                raise UnusableModel(f"{archive.name} holds more than {MAX_MEMBERS} files")
            path = _safe_path(archive, member.name)
            if is_unsafe(path.name):
                continue
            require_space(target, member.size)
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            with (target / path).open("wb") as out:
                _copy(member, out, archive)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise UnusableModel(f"{archive.name} is damaged: {error}") from None
    _lift_single_folder(target)


def _read_tar(archive: Path) -> Iterator[_Member]:
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            if member.isdir():
                continue
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                raise UnusableModel(f"{archive.name} holds {member.name!r}, which is no regular file")
            with content:
                yield _Member(member.name, member.size, content)


def _read_zip(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            if info.is_dir():
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG) or info.flag_bits & 1:
                raise UnusableModel(f"{archive.name} holds {info.filename!r}, which is no plain regular file")
            with packed.open(info) as content:
                yield _Member(info.filename, info.file_size, content)


def _safe_path(archive: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.parts:
        raise UnusableModel(f"{archive.name} holds the name {name!r}, which leads out of the folder")
    return path


def _copy(member: _Member, out: IO[bytes], archive: Path) -> None:
    """Copy as many bytes as were announced; more of them would be a bomb, fewer a damaged archive."""
    left = member.size
    while chunk := member.file.read(min(CHUNK_BYTES, left + 1)):
        left -= len(chunk)
        if left < 0:
            break
        out.write(chunk)
    if left:
        raise UnusableModel(f"{archive.name}: {member.name!r} is not as long as announced")


def _lift_single_folder(target: Path) -> None:
    entries = list(target.iterdir())
    if len(entries) != 1 or not entries[0].is_dir():
        return
    folder = entries[0].rename(target / ".lift")
    for entry in folder.iterdir():
        shutil.move(entry, target / entry.name)
    folder.rmdir()
