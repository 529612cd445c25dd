"""Reads the files of a model from an object store: `s3://`, `gs://` and `az://`, through obstore.

Endpoints, regions and credentials come from the variables that the stores' own tools read (`AWS_*`, `GOOGLE_*`,
`AZURE_*`), workload identities included. Objects have no version of their own that every store would tell, so the
listing is the version: the digest over paths, sizes and ETags. Every read demands the ETag that was listed, by
`If-Match`, so a file that changes meanwhile ends the fetch and never mixes two versions.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelservice_runtime.errors import BadSettings, ModelNotFound, NotAllowed, SourceUnavailable
from modelservice_runtime.sources.address import StoreAddress
from modelservice_runtime.sources.retry import Retry, fault_of_status

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ObjectStore

CLIENT_OPTIONS = {"connect_timeout": "10s", "timeout": "60s", "user_agent": "modelservice-runtime"}
ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AZURE_STORAGE_ENDPOINT")
PLAIN_GOOGLE = re.compile(r'"gcs_base_url"\s*:\s*"http://')
"""A service account is where Google's clients are told of another endpoint."""
STATUS = re.compile(r"status code: (\d{3})")
NO_RETRIES = {"max_retries": 0}
"""obstore would try again by itself, without a word in the log; our own retries are bounded and told."""


@dataclass(frozen=True)
class BucketFile:
    """One object: its path below the prefix, its size in bytes, and its ETag, empty where the store has none."""

    path: str
    size: int
    etag: str


def version_of(files: Sequence[BucketFile]) -> str:
    """Return what identifies the contents of these files: `etags:` and 40 hex digits."""
    lines = (f"{file.path} {file.size} {file.etag}\n" for file in sorted(files, key=lambda file: file.path))
    return f"etags:{hashlib.sha256(''.join(lines).encode()).hexdigest()[:40]}"


class Bucket:
    """One prefix of one bucket. Safe to use from several threads."""

    def __init__(self, address: StoreAddress, retry: Retry) -> None:
        self._address = address
        self._retry = retry
        self._store = _open(address)

    def list_files(self) -> list[BucketFile]:
        """Return every object below the prefix. Raises ModelNotFound (for none, too), NotAllowed, SourceUnavailable."""

        def listing() -> list[BucketFile]:
            import obstore  # noqa: PLC0415 - only `fetch` and `inspect` need it

            with self._faults(self._address.uri):
                return [_file_of(entry) for page in obstore.list(self._store) for entry in page]

        files = [file for file in self._retry.call("listing the files", listing) if file.path]
        if not files:
            raise ModelNotFound(f"there is nothing below {self._address.uri}")
        return files

    def read(self, file: BucketFile, start: int, end: int) -> bytes:
        """Return the bytes [start, end) of the listed version of a file. Raises the fault of the last try."""
        if start == end:
            return b""

        def reading() -> bytes:
            import obstore  # noqa: PLC0415

            options: GetOptions = {"range": (start, end)}
            if file.etag:
                options["if_match"] = file.etag
            with self._faults(f"{self._address.uri}/{file.path}"):
                data = bytes(obstore.get(self._store, file.path, options=options).bytes())
            if len(data) != end - start:
                raise SourceUnavailable(f"{file.path} ended after {start + len(data)} of {file.size} bytes")
            return data

        return self._retry.call(f"reading {file.path}", reading)

    @contextmanager
    def _faults(self, what: str) -> Iterator[None]:
        """Turn obstore's exceptions into faults."""
        from obstore import exceptions as errors  # noqa: PLC0415

        try:
            yield
        except (errors.NotFoundError, FileNotFoundError):
            raise ModelNotFound(f"{what} does not exist") from None
        except (errors.PermissionDeniedError, errors.UnauthenticatedError, PermissionError):
            raise NotAllowed(f"{what} refuses the credentials, or wants some") from None
        except errors.PreconditionError:
            message = f"{what} was replaced while it was fetched"
            raise SourceUnavailable(message, hint="fetch again; publish under a new prefix", transient=False) from None
        except errors.BaseError as error:
            if status := STATUS.search(str(error)):
                raise fault_of_status(int(status[1]), what, credentials=True) from error
            raise SourceUnavailable(f"{what} cannot be read: {_first_line(error)}") from error


def _open(address: StoreAddress) -> "ObjectStore":
    from obstore import exceptions as errors  # noqa: PLC0415
    from obstore.store import from_url  # noqa: PLC0415

    make: Callable[..., Any] = from_url
    url = f"{address.scheme}://{address.bucket}/{address.prefix}".rstrip("/")
    options = CLIENT_OPTIONS | ({"allow_http": "true"} if _has_plain_endpoint() else {})
    try:
        store: ObjectStore = make(url, client_options=options, retry_config=NO_RETRIES)
    except (errors.BaseError, ValueError) as error:
        raise BadSettings(f"{address.uri} cannot be opened: {_first_line(error)}") from None
    return store


def _has_plain_endpoint() -> bool:
    """Tell whether a variable names an endpoint without TLS, as stores inside a cluster often have."""
    plain = any(os.environ.get(name, "").startswith("http://") for name in ENDPOINTS)
    return plain or bool(PLAIN_GOOGLE.search(os.environ.get("GOOGLE_SERVICE_ACCOUNT_KEY", "")))


def _file_of(entry: Any) -> BucketFile:
    return BucketFile(entry["path"], entry["size"], entry.get("e_tag") or "")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
