"""From the string that stands for a file in a request to the file's bytes.

A client sends the file itself, as a `data:` URL or as bare base64. The server opens nothing on a client's word: no
path, no `file://`, and no URL unless a fetcher is given that checks it against an allow-list. `make_reader` is the one
place where that fetcher is chosen.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass

from modelservice_runtime.config import Settings
from modelservice_runtime.media.fetch import Fetcher
from modelservice_runtime.tasks.inputs import InvalidInput

Fetch = Callable[[str, str, int], bytes]

WAY_OUT = "send the file itself as a data: URL or as base64"
SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
DATA_URL = re.compile(r"data:[^,;]*(?:;[^,;]*)*?;base64,", re.IGNORECASE)
HEADER_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class SourceReader:
    """Reads files of at most `max_bytes`; `fetch(url, field, max_bytes)` raises InvalidInput, None fetches nothing."""

    max_bytes: int
    fetch: Fetch | None = None

    def read(self, source: str, field: str) -> bytes:
        """Return the bytes that `source` stands for; CPU pool. Raises InvalidInput naming `field`."""
        scheme = SCHEME.match(source)
        if scheme is None:
            return _decode(_payload(source, field), field, self.max_bytes)
        if scheme[1].lower() not in ("http", "https"):
            raise InvalidInput(field, f"{scheme[1][:16].lower()}:// addresses are never opened; {WAY_OUT}")
        if self.fetch is None:
            raise InvalidInput(field, f"this server fetches no URLs; {WAY_OUT}")
        return self.fetch(source, field, self.max_bytes)


def make_reader(settings: Settings) -> SourceReader:
    """Return the reader that the settings ask for."""
    hosts = tuple(host for host in settings.media.allowed_hosts.split(",") if host)
    fetch = Fetcher(hosts, settings.media.fetch_seconds).fetch if hosts else None
    return SourceReader(settings.limits.max_media_body_bytes, fetch)


def _payload(source: str, field: str) -> str:
    """Return the base64 part of a data URL, or the source itself when it is none."""
    if source[:5].lower() != "data:":
        return source
    header = DATA_URL.match(source[:HEADER_CHARACTERS])
    if header is None:
        raise InvalidInput(field, "the data: URL must say ;base64, before its data, as in data:image/png;base64,...")
    return source[header.end() :]


def _decode(payload: str, field: str, max_bytes: int) -> bytes:
    if len(payload) // 4 * 3 > max_bytes + 3:
        raise InvalidInput(
            field, f"the file is larger than {max_bytes} bytes; send a smaller one", reason="body_too_large"
        )
    try:
        data = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(field, f"neither a data: URL nor base64, and paths are never opened; {WAY_OUT}") from None
    if not data:
        raise InvalidInput(field, "the file is empty")
    return data
