"""What decides about an image: its context, its Dockerfile, its arguments and its base, in one digest.

Small files count by their content, so that a fresh clone of the same commit gives the same digest. Files above four
megabytes (models) count by size and time of change instead: reading them again at every call would cost more than it
finds, and a file that only looks changed costs one cached build.
"""

import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path

from tests.cluster import ignore

_BY_CONTENT = 4 * 1024 * 1024


def input_digest(context: Path, dockerfile: Path, args: Mapping[str, str], base: str) -> str:
    """The digest of everything that `build-image` gives to the builder."""
    content = hashlib.sha256(repr((sorted(args.items()), base)).encode())
    content.update(dockerfile.read_bytes())
    for file in ignore.context_files(context, ignore.rules_for(context, dockerfile)):
        content.update(b"\0" + file.relative_to(context).as_posix().encode() + b"\0" + _fingerprint(file))
    return content.hexdigest()


def _fingerprint(file: Path) -> bytes:
    try:
        about = file.lstat()
        if stat.S_ISLNK(about.st_mode):
            return b"link " + str(file.readlink()).encode()
        if not stat.S_ISREG(about.st_mode):
            return b"other"
        executable = b"x" if about.st_mode & 0o111 else b"-"
        if about.st_size > _BY_CONTENT:
            return executable + f"{about.st_size} {about.st_mtime_ns}".encode()
        return executable + hashlib.sha256(file.read_bytes()).digest()
    except FileNotFoundError:
        return b"gone"


def content_digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
