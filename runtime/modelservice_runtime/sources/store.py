"""Fetches a model from an object store into a folder, and describes one from afar."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from modelservice_runtime.errors import ChecksumMismatch, ModelNotFound
from modelservice_runtime.sources.address import StoreAddress
from modelservice_runtime.sources.bucket import Bucket, BucketFile, version_of
from modelservice_runtime.sources.headers import read_header
from modelservice_runtime.sources.inspect import ModelCard, inspect_folder
from modelservice_runtime.sources.progress import Progress, folder_bytes
from modelservice_runtime.sources.retry import Retry
from modelservice_runtime.sources.segments import Download, download_all
from modelservice_runtime.sources.selection import select_files
from modelservice_runtime.sources.staging import Marker, disk_errors, is_current, open_stage, publish, require_space
from modelservice_runtime.sources.transfer import sha256_of

log = logging.getLogger(__name__)

PARALLEL_READS = 8
SUMS = "SHA256SUMS"


def fetch_from_store(
    address: StoreAddress,
    folder: Path,
    *,
    revision: str = "",
    include: Sequence[str],
    exclude: Sequence[str],
    retry: Retry,
    parallel: int = 0,
) -> None:
    """Bring the selected files below an address into `folder`; do nothing when the same version is there already.

    With a `revision`, as `inspect_store` tells it, files that have changed since are refused as not found.

    A file `SHA256SUMS` beside the model, as sha256sum writes it, is held against what arrived. Raises ModelNotFound,
    NotAllowed, SourceUnavailable, ChecksumMismatch, DiskFull, UnusableModel or BadSettings.
    """
    bucket = Bucket(address, retry)
    listed = bucket.list_files()
    files = _choose(listed, include, exclude)
    version = version_of(files)
    _require(address, version, revision)
    key = f"{address.uri}@{version}"
    if is_current(folder, key):
        log.info("the model is there already", extra={"version": version})
        return
    total = sum(file.size for file in files)
    log.info("fetching", extra={"uri": address.uri, "version": version, "files": len(files), "bytes": total})
    with disk_errors(folder):
        stage = open_stage(folder, key)
        require_space(folder, total - folder_bytes(stage))
        with Progress(stage, total):
            download_all([_download(bucket, file, stage) for file in files], parallel or PARALLEL_READS)
        _verify(bucket, listed, stage)
        publish(folder, Marker(address.uri, key, version, {file.path: file.size for file in files}))


def inspect_store(
    address: StoreAddress, retry: Retry, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> ModelCard:
    """Describe the model below an address: descriptions are read whole, of the weights only the headers.

    Raises the faults of `fetch_from_store` and of `inspect_folder`.
    """
    bucket = Bucket(address, retry)
    files = _choose(bucket.list_files(), include, exclude)
    with tempfile.TemporaryDirectory() as scratch:
        for file in files:
            _write_outline(bucket, file, Path(scratch) / file.path)
        return replace(inspect_folder(scratch), resolved_revision=version_of(files))


def _require(address: StoreAddress, version: str, revision: str) -> None:
    if revision and version != revision:
        raise ModelNotFound(
            f"{address.uri} holds other files than those that were asked for: {version}, not {revision}",
            hint="put the files back, or take the new ones by changing the annotation modelservice.dev/preflight",
        )


def _choose(files: Sequence[BucketFile], include: Sequence[str], exclude: Sequence[str]) -> list[BucketFile]:
    chosen = set(select_files([file.path for file in files], include, exclude))
    return [file for file in files if file.path in chosen]


def _download(bucket: Bucket, file: BucketFile, stage: Path) -> Download:
    return Download(stage / file.path, file.size, file.etag, partial(bucket.read, file))


def _verify(bucket: Bucket, listed: Sequence[BucketFile], stage: Path) -> None:
    """Compare what arrived with the list of digests, where there is one."""
    for sums in (file for file in listed if file.path == SUMS):
        for digest, name in _lines(bucket.read(sums, 0, sums.size)):
            path = stage / name
            if path.is_file() and path.resolve().is_relative_to(stage.resolve()) and sha256_of(path) != digest:
                path.unlink()
                raise ChecksumMismatch(f"{name} arrived with another digest than {SUMS} states")


def _lines(sums: bytes) -> Iterator[tuple[str, str]]:
    for line in sums.decode("utf-8", errors="replace").splitlines():
        digest, _, name = line.partition(" ")
        yield digest.lower(), name.strip().removeprefix("*").removeprefix("./")


def _write_outline(bucket: Bucket, file: BucketFile, path: Path) -> None:
    """Write a file that is as long as the original; of weights it holds the header, the rest takes no space."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not file.path.endswith(".safetensors"):
        path.write_bytes(bucket.read(file, 0, file.size))
        return
    position = 0

    def read(count: int) -> bytes:
        nonlocal position
        position += count
        return bucket.read(file, position - count, min(position, file.size))

    header = read_header(f"{file.path}", file.size, read)
    with path.open("wb") as outline:
        outline.write(len(header).to_bytes(8, "little") + header)
        outline.truncate(file.size)
