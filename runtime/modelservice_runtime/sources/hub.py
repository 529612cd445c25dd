"""Fetches a model from a hub that speaks the Hugging Face protocol, with the hub's own client.

The revision is resolved to a commit first and everything after refers to that commit, so a push in between cannot mix
two versions. The client resumes a broken connection by range and keeps complete files over a restart; it checks sizes
only, so the digests that the hub states (SHA-256 of large files, git's blob id of small ones) are checked here.
`HF_ENDPOINT` and `HF_TOKEN` are honoured.
"""

import glob
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelservice_runtime.errors import (
    ChecksumMismatch,
    ModelGated,
    ModelNotFound,
    RuntimeFault,
    SourceUnavailable,
    UnusableModel,
)
from modelservice_runtime.sources.address import HubAddress
from modelservice_runtime.sources.progress import Progress, folder_bytes
from modelservice_runtime.sources.retry import Retry, fault_of_status
from modelservice_runtime.sources.selection import select_files
from modelservice_runtime.sources.staging import (
    STAGE,
    Marker,
    disk_errors,
    is_current,
    open_stage,
    publish,
    require_space,
)

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile
    from huggingface_hub.utils._safetensors import SafetensorsFileMetadata, SafetensorsRepoMetadata

log = logging.getLogger(__name__)

DEFAULT_REVISION = "main"
PARALLEL_FILES = 4
READ_SECONDS = 30.0
CONNECT_SECONDS = 10.0
CLIENT_SETTINGS = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_XET_CHUNK_CACHE_SIZE_BYTES": "0",
}


@dataclass(frozen=True)
class HubFile:
    """One file of a commit: `sha256` of large files, `blob` (git's SHA-1) of the others, size in bytes."""

    path: str
    size: int
    blob: str
    sha256: str | None


def fetch_from_hub(
    address: HubAddress,
    folder: Path,
    *,
    revision: str,
    include: Sequence[str],
    exclude: Sequence[str],
    retry: Retry,
    parallel: int = 0,
) -> None:
    """Bring the selected files of a repository into `folder`; do nothing when they are there already.

    Raises ModelNotFound, NotAllowed, ModelGated, SourceUnavailable, ChecksumMismatch, DiskFull or UnusableModel.
    """
    prepare_client(folder / STAGE / "client")
    repository = Repository(address, revision, retry)
    files = _choose(repository.list_files(), include, exclude)
    key = f"{address.uri}@{repository.commit}#{','.join(file.path for file in files)}"
    if is_current(folder, key):
        log.info("the model is there already", extra={"commit": repository.commit})
        return
    total = sum(file.size for file in files)
    log.info("fetching", extra={"uri": address.uri, "commit": repository.commit, "files": len(files), "bytes": total})
    with disk_errors(folder):
        stage = open_stage(folder, key)
        require_space(folder, total - folder_bytes(stage))
        with Progress(stage, total):
            repository.download(files, stage, parallel or PARALLEL_FILES)
        for file in files:
            verify_file(stage / file.path, file)
        publish(folder, Marker(address.uri, key, repository.commit, {file.path: file.size for file in files}))


def verify_file(path: Path, file: HubFile) -> None:
    """Compare a file with its announced digest; remove it and raise ChecksumMismatch when they differ."""
    with path.open("rb") as content:
        if file.sha256:
            expected, actual = file.sha256, hashlib.file_digest(content, "sha256").hexdigest()
        else:
            blob = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
            blob.update(content.read())
            expected, actual = file.blob, blob.hexdigest()
    if actual != expected:
        path.unlink()
        raise ChecksumMismatch(f"{file.path} arrived with digest {actual}, the hub announced {expected}")


def _choose(files: Sequence[HubFile], include: Sequence[str], exclude: Sequence[str]) -> list[HubFile]:
    chosen = set(select_files([file.path for file in files], include, exclude))
    return [file for file in files if file.path in chosen]


def prepare_client(home: Path) -> None:
    """Set the client's own variables before its first import; `home` must be writable."""
    for name, value in CLIENT_SETTINGS.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("HF_HOME", str(home))


class Repository:
    """One commit of one repository."""

    def __init__(self, address: HubAddress, revision: str, retry: Retry) -> None:
        from huggingface_hub import HfApi  # noqa: PLC0415 - half a second that only `fetch` pays

        self._api: HfApi = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
        self._id = address.repo
        self._revision = revision or DEFAULT_REVISION
        self._retry = retry
        self.commit = retry.call("resolving the revision", self._resolve)

    def list_files(self) -> list[HubFile]:
        """Return every file of the commit."""
        from huggingface_hub.hf_api import RepoFile  # noqa: PLC0415

        def listing() -> list[HubFile]:
            with self._faults():
                tree = self._api.list_repo_tree(self._id, recursive=True, revision=self.commit)
                return [_hub_file(entry) for entry in tree if isinstance(entry, RepoFile)]

        return self._retry.call("listing the files", listing)

    def read_headers(self) -> "SafetensorsRepoMetadata":
        """Read the headers of the weights by range requests."""
        from huggingface_hub import errors  # noqa: PLC0415

        def headers() -> "SafetensorsRepoMetadata":
            with self._faults():
                return self._api.get_safetensors_metadata(self._id, revision=self.commit)

        try:
            return self._retry.call("reading the weights' headers", headers)
        except (errors.NotASafetensorsRepoError, errors.SafetensorsParsingError) as error:
            raise UnusableModel(f"{self._id}: {_first_line(error)}") from None

    def read_header(self, path: str) -> "SafetensorsFileMetadata":
        """Read the header of one file of weights by range requests."""
        from huggingface_hub import errors  # noqa: PLC0415

        def header() -> "SafetensorsFileMetadata":
            with self._faults():
                return self._api.parse_safetensors_file_metadata(self._id, path, revision=self.commit)

        try:
            return self._retry.call("reading the weights' headers", header)
        except errors.SafetensorsParsingError as error:
            raise UnusableModel(f"{self._id}: {_first_line(error)}") from None

    def download(self, files: Sequence[HubFile], stage: Path, parallel: int = PARALLEL_FILES) -> None:
        """Download the files that are not complete yet."""

        def transfer() -> None:
            before = folder_bytes(stage)
            with self._faults(progressed=lambda: folder_bytes(stage) > before):
                self._api.snapshot_download(
                    self._id,
                    revision=self.commit,
                    local_dir=stage,
                    allow_patterns=[glob.escape(file.path) for file in files],
                    max_workers=parallel,
                )

        self._retry.call("downloading", transfer)

    def _resolve(self) -> str:
        with self._faults():
            sha = self._api.model_info(self._id, revision=self._revision, timeout=READ_SECONDS).sha
        if not sha:
            raise SourceUnavailable(f"{self._api.endpoint} states no commit for {self._id}", transient=False)
        return sha

    @contextmanager
    def _faults(self, progressed: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Turn the client's exceptions into faults."""
        import httpx  # noqa: PLC0415
        from huggingface_hub import errors, get_session  # noqa: PLC0415

        get_session().timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)  # the client's own has no limit
        try:
            yield
        except errors.LocalEntryNotFoundError as error:
            raise self._fault(error.__cause__ or error, progressed()) from error
        except (errors.HfHubHTTPError, httpx.HTTPError, errors.FileMetadataError) as error:
            raise self._fault(error, progressed()) from error
        except (errors.XetDownloadError, RuntimeError) as error:
            raise SourceUnavailable(f"{self._id}: {_first_line(error)}", progressed=progressed()) from error
        except OSError as error:
            if error.errno is not None:
                raise
            transient = not isinstance(error, errors.OfflineModeIsEnabled)
            raise SourceUnavailable(
                f"{self._id}: {_first_line(error)}", transient=transient, progressed=progressed()
            ) from error

    def _fault(self, error: BaseException, progressed: bool) -> RuntimeFault:
        from huggingface_hub import errors, get_token  # noqa: PLC0415

        token = bool(get_token())
        where = f"{self._id} on {self._api.endpoint}"
        status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else 0
        if isinstance(error, errors.GatedRepoError):
            return _gated(where, token)
        if isinstance(error, errors.RevisionNotFoundError):
            return ModelNotFound(f"{where} has no revision {self._revision!r}", hint="check spec.model.revision")
        if status == 401 and not token:  # the hub's answer to a stranger for what is private and for what is not there
            return ModelNotFound(
                f"{where} does not exist or is private; without a token the hub does not tell which (HTTP 401)",
                hint="check the spelling of spec.model.uri; for a private model name a Secret in spec.model.secretRef",
            )
        if status == 404 and token:
            return ModelNotFound(f"{where} does not exist, or the token may not see it (HTTP 404)")
        if status:
            return fault_of_status(status, where, credentials=token, retry_after=_retry_after(error))
        if isinstance(error, errors.FileMetadataError):
            return SourceUnavailable(f"{where} does not answer like a hub: {_first_line(error)}", transient=False)
        return SourceUnavailable(f"{self._api.endpoint} cannot be reached: {_first_line(error)}", progressed=progressed)


def _gated(where: str, token: bool) -> ModelGated:
    if token:
        return ModelGated(f"{where} is gated and the token's account has not been granted access")
    return ModelGated(
        f"{where} is gated and no token was sent",
        hint="accept the model's terms on the hub, then name a Secret with that account's token in model.secretRef",
    )


def _hub_file(entry: "RepoFile") -> HubFile:
    return HubFile(entry.path, entry.size, entry.blob_id, entry.lfs.sha256 if entry.lfs else None)


def _retry_after(error: BaseException) -> float:
    response = getattr(error, "response", None)
    value = response.headers.get("Retry-After", "") if response is not None else ""
    return float(value) if value.isdigit() else 0.0


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
