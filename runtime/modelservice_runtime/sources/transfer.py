"""Transfers one file over https: resumed by range, and either complete or not there.

A partial file goes on only together with the strong ETag that it was received under (`If-Range`), so two versions are
never spliced. A try that moved at least a chunk resets the count of retries; one that did not counts.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelservice_runtime.errors import NotAllowed, SourceUnavailable
from modelservice_runtime.sources.retry import Retry, fault_of_status

if TYPE_CHECKING:
    import httpx

CHUNK_BYTES = 1 << 20
PART = ".part"
ETAG = ".etag"


@dataclass(frozen=True)
class Remote:
    """What a server says about a file: size in bytes (0 when it does not tell), and a version, empty without one."""

    size: int
    version: str

    @classmethod
    def ask(cls, client: "httpx.Client", url: str, retry: Retry) -> "Remote":
        """Ask without transferring the file. Raises the fault that fits the status."""

        def head() -> "Remote":
            with _network_faults(url):
                response = client.head(url)
                if response.status_code not in (200, 405, 501):
                    raise _fault(client, response, url)
            if response.status_code != 200:
                return cls(0, "")
            length = response.headers.get("Content-Length", "")
            version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
            return cls(int(length) if length.isdigit() else 0, version)

        return retry.call("asking for the file", head)


def open_client(authorization: str) -> "httpx.Client":
    """Return a client that follows redirects to https only; httpx drops the header when the host changes."""
    import httpx  # noqa: PLC0415 - only `fetch` needs it

    def refuse_plain(request: httpx.Request) -> None:
        if request.url.scheme != "https":
            raise NotAllowed(f"{request.url.host} redirects to an unencrypted address", hint="serve it over https")

    headers = {"Accept-Encoding": "identity", "User-Agent": "modelservice-runtime"}
    if authorization:
        headers["Authorization"] = authorization
    return httpx.Client(
        headers=headers,
        follow_redirects=True,
        max_redirects=5,
        timeout=httpx.Timeout(30, connect=10),
        event_hooks={"request": [refuse_plain]},
    )


def transfer(client: "httpx.Client", url: str, path: Path, retry: Retry) -> None:
    """Download `url` to `path`, going on where an earlier try stopped; a complete file is not asked for again."""
    if path.exists():
        return
    part = path.with_name(path.name + PART)
    retry.call(f"downloading {path.name}", lambda: _transfer_once(client, url, part))
    part.with_name(part.name + ETAG).unlink(missing_ok=True)
    os.replace(part, path)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _transfer_once(client: "httpx.Client", url: str, part: Path) -> None:
    tag = part.with_name(part.name + ETAG)
    have = part.stat().st_size if part.exists() and tag.exists() else 0
    headers = {"Range": f"bytes={have}-", "If-Range": tag.read_text()} if have else {}
    received = 0

    def progressed() -> bool:
        return received >= CHUNK_BYTES and tag.exists()

    with _network_faults(url, progressed), client.stream("GET", url, headers=headers) as response:
        have = _accept(client, response, url, part, have)
        announced = response.headers.get("Content-Length")
        with part.open("ab" if have else "wb") as file:
            for chunk in response.iter_bytes(CHUNK_BYTES):
                received += len(chunk)
                file.write(chunk)
    if announced is not None and int(announced) != received:
        message = f"{url} ended after {received} of {announced} bytes"
        raise SourceUnavailable(message, progressed=progressed())


def _accept(client: "httpx.Client", response: "httpx.Response", url: str, part: Path, have: int) -> int:
    """Check the answer, note its ETag for a later resume, and return how many bytes at hand it goes on from."""
    tag = part.with_name(part.name + ETAG)
    if response.status_code == 416:
        part.unlink(missing_ok=True)
        raise SourceUnavailable(f"{url} no longer has the range that was asked for")
    if response.status_code not in (200, 206):
        raise _fault(client, response, url)
    etag = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        tag.write_text(etag)
    else:
        tag.unlink(missing_ok=True)
    if response.status_code == 200:
        return 0
    if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        raise SourceUnavailable(f"{url} answers with another range than was asked for", transient=False)
    return have


@contextmanager
def _network_faults(url: str, progressed: Callable[[], bool] = lambda: False) -> Iterator[None]:
    import httpx  # noqa: PLC0415

    try:
        yield
    except httpx.TooManyRedirects:
        raise SourceUnavailable(f"{url} redirects in circles", transient=False) from None
    except httpx.HTTPError as error:
        words = str(error) or type(error).__name__
        raise SourceUnavailable(f"{url} cannot be read: {words}", progressed=progressed()) from error


def _fault(client: "httpx.Client", response: "httpx.Response", url: str) -> Exception:
    after = response.headers.get("Retry-After", "")
    return fault_of_status(
        response.status_code,
        url,
        credentials="Authorization" in client.headers,
        retry_after=float(after) if after.isdigit() else 0,
    )
