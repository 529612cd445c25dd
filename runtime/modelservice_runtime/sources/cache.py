"""A cache of model folders on a volume that pods share: one of them fetches a model, the others wait and find it there.

    ROOT/models/KEY/      a model folder, as `fetch` fills it; KEY stands for a source that cannot change
    ROOT/locks/KEY        held with flock by whoever fills or removes the folder; the kernel frees it when a pod dies
    ROOT/users/NAME/KEY   says that the service NAME uses the folder

A folder that is complete is taken as it is, without asking its source, so pods start while the source is away. What no
service uses any more is removed by `collect`; registering and removing hold the same lock, so neither overtakes the
other.
"""

import errno
import fcntl
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelservice_runtime.errors import BadSettings
from modelservice_runtime.sources.fetch import FetchRequest, FetchResult, describe_folder, fetch_model
from modelservice_runtime.sources.progress import folder_bytes
from modelservice_runtime.sources.staging import disk_errors, is_complete

log = logging.getLogger(__name__)

MODELS: Final = "models"
LOCKS: Final = "locks"
USERS: Final = "users"
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
PAUSE_SECONDS: Final = 0.5
TOLD_EVERY: Final = 10
"""Pauses between two lines of the log that tell of waiting."""
NO_LOCKS: Final = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


@dataclass(frozen=True)
class Entry:
    """One model folder of a cache."""

    root: Path
    key: str

    @classmethod
    def at(cls, folder: Path) -> "Entry":
        """Find the entry whose model folder this is. Raises BadSettings when it is no place in a cache."""
        if folder.parent.name != MODELS or not NAME.fullmatch(folder.name):
            raise BadSettings(f"{folder} is no place in a cache", hint=f"name a folder ROOT/{MODELS}/KEY")
        return cls(folder.parent.parent, folder.name)

    @property
    def folder(self) -> Path:
        """The model folder."""
        return self.root / MODELS / self.key

    @contextmanager
    def locked(self, sleep: Callable[[float], None] = time.sleep) -> Iterator[None]:
        """Hold the entry alone, however long others take. Raises BadSettings when the volume cannot lock files."""
        path = self.root / LOCKS / self.key
        _make_folder(path.parent)
        with disk_errors(self.root), path.open("a") as file:
            waits = 0
            while not _try_lock(file.fileno(), path):
                if waits % TOLD_EVERY == 0:
                    log.info("waiting for another pod, which fetches the model", extra={"bytes": self.bytes()})
                waits += 1
                sleep(PAUSE_SECONDS)
            yield

    def bytes(self) -> int:
        """Return how many bytes the folder holds, what is under way included."""
        return folder_bytes(self.folder)

    def register(self, user: str) -> None:
        """Note that a service uses the entry. Raises BadSettings when the volume cannot be written."""
        note = self.root / USERS / user / self.key
        _make_folder(note.parent)
        with disk_errors(self.root):
            note.touch()

    def users(self) -> list[str]:
        """Return the services that use the entry."""
        return sorted(note.parent.name for note in (self.root / USERS).glob(f"*/{self.key}"))


def fetch_cached(request: FetchRequest, user: str) -> FetchResult:
    """Fetch a model into its place in a cache, unless it is there.

    Raises what `fetch_model` raises, and BadSettings for a volume that cannot be written or cannot lock files.
    """
    entry = Entry.at(request.folder)
    _require_name(user)
    with entry.locked():
        entry.register(user)
        if is_complete(entry.folder):
            log.info("the model is in the cache", extra={"key": entry.key})
            return FetchResult(describe_folder(entry.folder), 0.0)
        return fetch_model(request)


def collect(root: Path, user: str) -> tuple[int, int]:
    """Forget what a service uses, and remove what no other one does; return the folders and bytes that were removed.

    Raises BadSettings when the volume cannot be written.
    """
    _require_name(user)
    folders = size = 0
    for note in sorted((root / USERS / user).glob("*")):
        entry = Entry(root, note.name)
        with entry.locked():
            note.unlink(missing_ok=True)
            if others := entry.users():
                log.info("kept, others use it", extra={"key": entry.key, "users": others})
                continue
            folders, size = folders + entry.folder.exists(), size + entry.bytes()
            shutil.rmtree(entry.folder, ignore_errors=True)
    shutil.rmtree(root / USERS / user, ignore_errors=True)
    return folders, size


def _try_lock(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise BadSettings(
            f"the volume of {path} cannot lock files: {error.strerror}",
            hint="use a volume with POSIX file locks, such as NFS 4 or CephFS, or spec.cache.strategy: None",
        ) from None
    return True


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadSettings(
            f"{path} cannot be written: {error.strerror}",
            hint="the volume of the cache must be writable for the pod's user or group (65532)",
        ) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise BadSettings(
            f"{path} cannot be written by user {os.getuid()}",
            hint="the volume of the cache must be writable for the pod's user or group (65532)",
        )


def _require_name(user: str) -> None:
    if not NAME.fullmatch(user):
        raise BadSettings(f"{user!r} is no name of a service", hint="give the name of the ModelService")
