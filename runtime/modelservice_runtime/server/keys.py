"""API keys: who may ask, and how often.

Keys come from a mounted file, or from a folder of files as Kubernetes mounts a Secret, and are read again when it
changes, so that rotating a key needs no restart. A file that became unreadable or wrong leaves the keys as they were: a
slip while rotating neither locks everybody out nor lets everybody in.

Only digests are kept. A key that is presented is compared with all of them, each comparison taking the same time, so
that neither the time of an answer nor the memory of the process tells a key.
"""

import hashlib
import hmac
import logging
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelservice_runtime.errors import BadSettings
from modelservice_runtime.server.errors import ApiError

logger = logging.getLogger(__name__)

FIELD = "security.api_key_file"
FORM = "a line is KEY, NAME:KEY or NAME:KEY:REQUESTS_PER_MINUTE"
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
KEY = re.compile(r"[!-9;-~]{16,512}")
CHECK_SECONDS = 1.0
OPEN_PATHS = frozenset(("/", "/docs", "/playground", "/openapi.json", "/v2/health/live", "/v2/health/ready"))
OPEN_FOLDERS = ("/docs/", "/playground/", "/static/")
Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key by its digest; `per_minute` None is without a limit."""

    name: str
    digest: bytes
    per_minute: int | None = None


class Keyring:
    """The keys of a file or folder. `admit` is called on the event loop for each request."""

    def __init__(self, source: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the keys. Raises BadSettings."""
        self._source = source
        self._clock = clock
        self._stamp = stamp(source)
        self._keys = read_keys(source)
        self._checked_at = clock()
        self._buckets: dict[str, _Bucket] = {}

    def admit(self, authorization: str) -> str:
        """Take a request with the key in `Authorization: Bearer KEY`; return its name. Raises ApiError 401 or 429."""
        self._refresh()
        scheme, _, presented = authorization.partition(" ")
        key = self._find(presented.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise ApiError(
                401, "this server needs a valid API key; send it as `Authorization: Bearer KEY`",
                code="invalid_api_key", rejected="auth", headers={"www-authenticate": "Bearer"},
            )  # fmt: skip
        if key.per_minute is not None:
            self._spend(key, key.per_minute)
        return key.name

    def _find(self, presented: str) -> ApiKey | None:
        digest = _digest(presented)
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def _spend(self, key: ApiKey, per_minute: int) -> None:
        bucket = self._buckets.setdefault(key.name, _Bucket(float(per_minute), self._clock()))
        seconds = bucket.spend(per_minute, self._clock())
        if seconds > 0:
            raise ApiError(
                429, f"this key may ask {per_minute} times a minute; try again in {math.ceil(seconds)} s",
                code="rate_limit_exceeded", rejected="rate_limit", headers={"retry-after": str(math.ceil(seconds))},
            )  # fmt: skip

    def _refresh(self) -> None:
        """Read the keys again when the source changed, at most once in CHECK_SECONDS."""
        now = self._clock()
        if now - self._checked_at < CHECK_SECONDS:
            return
        self._checked_at = now
        try:
            found = stamp(self._source)
            if found == self._stamp:
                return
            self._stamp = found
            self._keys = read_keys(self._source)
            logger.info("API keys read again", extra={"keys": len(self._keys)})
        except BadSettings as error:
            logger.error("API keys stay as they were", extra={"problem": str(error)})


@dataclass(slots=True)
class _Bucket:
    """Requests that a key may still make; refills evenly."""

    left: float
    filled_at: float

    def spend(self, per_minute: int, now: float) -> float:
        """Take one request; or return the seconds until there is one."""
        rate = per_minute / 60
        self.left = min(float(per_minute), self.left + (now - self.filled_at) * rate)
        self.filled_at = now
        if self.left < 1:
            return (1 - self.left) / rate
        self.left -= 1
        return 0.0


def open_keys(path: str) -> Keyring | None:
    """Return the keys of the settings, None when everybody may ask. Raises BadSettings."""
    return Keyring(Path(path)) if path else None


def stamp(source: Path) -> Stamp:
    """Return what changes when a key file does: names, times, sizes and inodes. Raises BadSettings."""
    try:
        states = [(path.name, path.stat()) for path in _files(source)]
    except OSError as error:
        raise BadSettings(f"{FIELD}: {source} cannot be read: {error.strerror}") from None
    return tuple((name, state.st_mtime_ns, state.st_size, state.st_ino) for name, state in states)


def read_keys(source: Path) -> tuple[ApiKey, ...]:
    """Return all keys. Raises BadSettings, which names places and never keys."""
    found: dict[str, ApiKey] = {}
    try:
        contents = {path.name: path.read_text(encoding="utf-8") for path in _files(source)}
    except OSError as error:
        raise BadSettings(f"{FIELD}: {source} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadSettings(f"{FIELD}: {source} holds something else than text") from None
    for file, line, text in _lines(contents):
        key = _parse(text, file, f"{FIELD}: {file}, line {line}")
        if key.name in found:
            raise BadSettings(f"{FIELD}: {file}, line {line}: there is a key with this name already")
        found[key.name] = key
    if not found:
        raise BadSettings(f"{FIELD}: {source} holds no key", hint=f"write keys into it; {FORM}")
    return tuple(found.values())


def _files(source: Path) -> list[Path]:
    """Return the files to read; of a mounted Secret without the hidden entries that the kubelet keeps there."""
    if not source.is_dir():
        return [source]
    return sorted(path for path in source.iterdir() if path.is_file() and not path.name.startswith("."))


def _lines(contents: Mapping[str, str]) -> list[tuple[str, int, str]]:
    return [
        (file, number, line.strip())
        for file, content in contents.items()
        for number, line in enumerate(content.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]


def _parse(text: str, file: str, place: str) -> ApiKey:
    parts = text.split(":")
    name, key = (file, parts[0]) if len(parts) == 1 else (parts[0], parts[1])
    if len(parts) > 3 or NAME.fullmatch(name) is None:
        raise BadSettings(f"{place} is not a key", hint=FORM)
    if KEY.fullmatch(key) is None:
        raise BadSettings(f"{place}: a key has 16 to 512 visible ASCII characters without `:`")
    if len(parts) < 3:
        return ApiKey(name, _digest(key))
    if not parts[2].isascii() or not parts[2].isdigit() or not 1 <= int(parts[2]) <= 1_000_000:
        raise BadSettings(f"{place}: the requests per minute must be a number from 1 to 1000000")
    return ApiKey(name, _digest(key), int(parts[2]))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


def needs_key(method: str, path: str) -> bool:
    """Tell whether a path is for those with a key: all but probes, and the pages that ask a person for the key."""
    if method not in ("GET", "HEAD"):
        return True
    if path in OPEN_PATHS or path.startswith(OPEN_FOLDERS):
        return False
    return not (path.startswith("/v2/models/") and path.endswith("/ready"))
