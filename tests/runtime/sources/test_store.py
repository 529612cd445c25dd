"""Models come from an object store: in parallel segments, resumed, of one version, and inspected by their headers."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from modelservice_runtime.errors import (
    BadSettings,
    ChecksumMismatch,
    ModelNotFound,
    NotAllowed,
    SourceUnavailable,
    UnusableModel,
)
from modelservice_runtime.sources import segments, staging
from modelservice_runtime.sources.bucket import Bucket, BucketFile
from modelservice_runtime.sources.fetch import FetchRequest, FetchResult, fetch_model
from modelservice_runtime.sources.inspect import inspect_folder
from modelservice_runtime.sources.retry import Retry
from modelservice_runtime.sources.survey import inspect_model
from tests.runtime.sources.folders import ModelFolder, make_model
from tests.support.objects import Objects, object_server

PARAMETERS = 100_000
QUICK = Retry(attempts=3, base=0.01)
URI = "s3://models/team/chat"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Objects]:
    with object_server(tmp_path_factory.mktemp("objects") / "log") as running:
        yield running


@pytest.fixture
def store(server: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Objects:
    """The server with a model of 400 kB, which is fetched in segments of 64 KiB."""
    for name, value in server.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 1 << 16)
    make_model(tmp_path / "source", PARAMETERS).with_file("notes/readme.bin", b"\x80evil")
    server.put_folder(tmp_path / "source", "team/chat")
    return server


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every range that is asked for: path and start."""
    asked: list[tuple[str, int]] = []
    read = Bucket.read

    def noted(self: Bucket, file: BucketFile, start: int, end: int) -> bytes:
        asked.append((file.path, start))
        return read(self, file, start, end)

    monkeypatch.setattr(Bucket, "read", noted)
    return asked


def fetch(folder: Path, uri: str = URI, **request: object) -> FetchResult:
    return fetch_model(FetchRequest(uri, folder, retry=QUICK, **request))  # type: ignore[arg-type]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_fetch_brings_the_same_bytes_and_leaves_pickles(store: Objects, tmp_path: Path) -> None:
    result = fetch(tmp_path / "model")
    found = {p.relative_to(tmp_path / "model").as_posix() for p in (tmp_path / "model").rglob("*") if p.is_file()}
    assert found == {"config.json", "model.safetensors", "tokenizer.json", staging.MARKER}
    assert digest(tmp_path / "model/model.safetensors") == digest(tmp_path / "source/model.safetensors")
    assert result.card.parameters == PARAMETERS
    assert (result.card.resolved_revision or "").startswith("etags:")


def test_fetch_reads_the_store_of_google(server: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.google_variables.items():
        monkeypatch.setenv(name, value)
    source = make_model(tmp_path / "source", PARAMETERS).path
    server.put_folder(source, "google/chat")
    with pytest.raises(NotAllowed, match="refuses the credentials"):
        fetch(tmp_path / "model", "gs://models/google/chat")
    for path in source.iterdir():
        server.publish(f"google/chat/{path.name}")
    assert fetch(tmp_path / "model", "gs://models/google/chat").card.parameters == PARAMETERS
    assert digest(tmp_path / "model/model.safetensors") == digest(source / "model.safetensors")


def test_fetch_takes_nothing_again_when_the_model_is_there(store: Objects, tmp_path: Path, reads: list[object]) -> None:
    fetch(tmp_path / "model")
    reads.clear()
    fetch(tmp_path / "model")
    assert not reads


def test_fetch_goes_on_with_the_missing_segments_when_it_was_interrupted(
    store: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, served = Bucket.read, []

    def failing(self: Bucket, file: BucketFile, start: int, end: int) -> bytes:
        if start >= 4 << 16:
            raise SourceUnavailable("the line is cut")
        served.append(start)
        return read(self, file, start, end)

    monkeypatch.setattr(Bucket, "read", failing)
    with pytest.raises(SourceUnavailable, match="the line is cut"):
        fetch(tmp_path / "model")
    with pytest.raises(UnusableModel, match="unfinished"):
        inspect_folder(tmp_path / "model")
    asked: list[int] = []

    def noted(self: Bucket, file: BucketFile, start: int, end: int) -> bytes:
        asked.append(start)
        return read(self, file, start, end)

    monkeypatch.setattr(Bucket, "read", noted)
    fetch(tmp_path / "model")
    assert set(asked) & {start for start in served if start} == set()
    assert digest(tmp_path / "model/model.safetensors") == digest(tmp_path / "source/model.safetensors")


def test_fetch_fails_when_a_file_is_replaced_meanwhile_and_the_next_one_is_of_one_version(
    store: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Bucket.read

    def replaced(self: Bucket, file: BucketFile, start: int, end: int) -> bytes:
        if start == 2 << 16:
            make_model(tmp_path / "source", PARAMETERS + 1)
            store.put("team/chat/model.safetensors", (tmp_path / "source/model.safetensors").read_bytes())
        return read(self, file, start, end)

    monkeypatch.setattr(Bucket, "read", replaced)
    with pytest.raises(SourceUnavailable, match="replaced while it was fetched"):
        fetch(tmp_path / "model")
    monkeypatch.setattr(Bucket, "read", read)
    assert fetch(tmp_path / "model").card.parameters == PARAMETERS + 1
    assert digest(tmp_path / "model/model.safetensors") == digest(tmp_path / "source/model.safetensors")


def test_fetch_refuses_when_a_digest_differs_from_the_list(store: Objects, tmp_path: Path) -> None:
    store.put("team/summed/SHA256SUMS", f"{'0' * 64}  model.safetensors\n".encode())
    store.put_folder(tmp_path / "source", "team/summed")
    with pytest.raises(ChecksumMismatch, match=r"model\.safetensors"):
        fetch(tmp_path / "model", "s3://models/team/summed")
    store.put("team/summed/SHA256SUMS", f"{digest(tmp_path / 'source/model.safetensors')} *model.safetensors".encode())
    assert fetch(tmp_path / "model", "s3://models/team/summed").card.parameters == PARAMETERS


def test_include_and_exclude_choose_among_the_weights(store: Objects, tmp_path: Path) -> None:
    ModelFolder(tmp_path / "source").with_weights("other.safetensors", 10)
    store.put_folder(tmp_path / "source", "team/two")
    fetch(tmp_path / "model", "s3://models/team/two", exclude=["other*"])
    assert not (tmp_path / "model/other.safetensors").exists()


def test_fetch_refuses_files_that_changed_since_they_were_inspected(store: Objects, tmp_path: Path) -> None:
    seen = inspect_model(URI, "", QUICK).resolved_revision or ""
    assert fetch(tmp_path / "model", revision=seen).card.resolved_revision == seen
    ModelFolder(tmp_path / "source").with_file("tokenizer.json", '{"new": 1}')
    store.put_folder(tmp_path / "source", "team/chat")
    with pytest.raises(ModelNotFound, match=f"holds other files .*, not {seen}"):
        fetch(tmp_path / "later", revision=seen)


@pytest.mark.parametrize(("asked", "at_once"), [(0, 8), (3, 3)])
def test_parts_are_read_as_many_at_a_time_as_asked_for(
    store: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: int, at_once: int
) -> None:
    seen: list[int] = []

    def noted(downloads: Sequence[segments.Download], parallel: int) -> None:
        seen.append(parallel)
        segments.download_all(downloads, parallel)

    monkeypatch.setattr("modelservice_runtime.sources.store.download_all", noted)
    fetch(tmp_path / "model", parallel=asked)
    assert seen == [at_once]


def test_inspect_reads_the_headers_only(store: Objects, reads: list[tuple[str, int]]) -> None:
    card = inspect_model(URI, "", QUICK)
    assert (card.architecture, card.parameters, card.task) == ("LlamaForCausalLM", PARAMETERS, "text-generation")
    assert sorted({path for path, _ in reads}) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert all(start <= 8 for _, start in reads)


@pytest.mark.parametrize("uri", ["s3://models/nothing/here", "s3://absent-bucket/model"])
def test_error_is_not_found_when_nothing_is_there(store: Objects, tmp_path: Path, uri: str) -> None:
    with pytest.raises(ModelNotFound):
        fetch(tmp_path / "model", uri)


def test_error_is_unavailable_when_nobody_answers(
    store: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(SourceUnavailable) as fault:
        fetch(tmp_path / "model")
    assert fault.value.exit_code == 69


@pytest.mark.parametrize("uri", ["s3://", "s3://UPPER/model", "gs://b/../c", "az://a//b"])
def test_error_shows_the_form_when_the_address_is_wrong(tmp_path: Path, uri: str) -> None:
    with pytest.raises(BadSettings) as fault:
        fetch(tmp_path / "model", uri)
    assert "://BUCKET/FOLDER" in fault.value.hint
