"""Models come from a plain https server, as files or as an archive, verified and resumed."""

import hashlib
import io
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelservice_runtime.errors import (
    BadSettings,
    ChecksumMismatch,
    DiskFull,
    ModelNotFound,
    NotAllowed,
    SourceUnavailable,
    UnusableModel,
)
from modelservice_runtime.sources import staging
from modelservice_runtime.sources.fetch import FetchRequest, FetchResult, fetch_model
from modelservice_runtime.sources.inspect import inspect_folder
from modelservice_runtime.sources.retry import Retry
from modelservice_runtime.sources.survey import inspect_model
from tests.runtime.sources.folders import ModelFolder, make_model
from tests.support.web import Web, make_certificate

PARAMETERS = 1_000_000


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def web(tmp_path: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    make_model(tmp_path / "web" / "m", parameters=PARAMETERS)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with Web(tmp_path / "web", certificate) as running:
        yield running


def fetch(folder: Path, uri: str) -> FetchResult:
    return fetch_model(FetchRequest(uri, folder, retry=Retry(attempts=3, base=0.01)))


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_inspect_tells_whether_a_file_can_be_had(web: Web) -> None:
    card = inspect_model(f"{web.url}/m/model.safetensors", "", Retry(attempts=1))
    assert card.size_bytes == (web.root / "m" / "model.safetensors").stat().st_size
    assert (card.architecture, card.parameters, card.is_known) == (None, None, None)
    with pytest.raises(ModelNotFound):
        inspect_model(f"{web.url}/m/none.safetensors", "", Retry(attempts=1))
    with pytest.raises(BadSettings, match="neither an archive"):
        inspect_model(f"{web.url}/m/config.json", "", Retry(attempts=1))


def pack(source: Path, target: Path, *, prefix: str = "") -> Path:
    files = [path for path in source.rglob("*") if path.is_file()]
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w") as archive:
            for path in files:
                archive.write(path, prefix + path.relative_to(source).as_posix())
    else:
        with tarfile.open(target, "w:gz" if target.name.endswith("gz") else "w") as archive:
            for path in files:
                archive.add(path, prefix + path.relative_to(source).as_posix())
    return target


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_fetch_brings_weights_and_what_lies_beside_them(web: Web, tmp_path: Path) -> None:
    ModelFolder(web.root / "m").with_file("1_Pooling/config.json").with_file("unrelated.json")
    result = fetch(tmp_path / "model", f"{web.url}/m/model.safetensors")
    assert names(tmp_path / "model") == {
        "config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json", staging.MARKER,
    }  # fmt: skip
    assert result.card.resolved_revision == f"sha256:{digest(web.root / 'm/model.safetensors')}"


def test_fetch_brings_all_shards_when_the_address_is_an_index(web: Web, tmp_path: Path) -> None:
    ModelFolder(web.root / "s").with_config().with_shards(3)
    fetch(tmp_path / "model", f"{web.url}/s/model.safetensors.index.json")
    assert inspect_folder(tmp_path / "model").parameters == 3000


@pytest.mark.parametrize("name", ["m.tar", "m.tar.gz", "m.tgz", "m.zip"])
@pytest.mark.parametrize("prefix", ["", "chat-v1/"])
def test_fetch_unpacks_an_archive(web: Web, tmp_path: Path, name: str, prefix: str) -> None:
    pack(web.root / "m", web.root / name, prefix=prefix)
    result = fetch(tmp_path / "model", f"{web.url}/{name}#sha256={digest(web.root / name)}")
    assert result.card.parameters == PARAMETERS
    assert names(tmp_path / "model") == {"config.json", "model.safetensors", "tokenizer.json", staging.MARKER}


def test_fetch_leaves_pickles_in_the_archive(web: Web, tmp_path: Path) -> None:
    ModelFolder(web.root / "m").with_file("pytorch_model.bin", b"\x80evil")
    pack(web.root / "m", web.root / "m.tar")
    fetch(tmp_path / "model", f"{web.url}/m.tar")
    assert "pytorch_model.bin" not in names(tmp_path / "model")


def test_fetch_takes_nothing_again_when_the_model_is_there(web: Web, tmp_path: Path) -> None:
    fetch(tmp_path / "model", f"{web.url}/m/model.safetensors")
    web.requests.clear()
    fetch(tmp_path / "model", f"{web.url}/m/model.safetensors")
    assert web.requests == ["HEAD /m/model.safetensors"]


def test_fetch_replaces_the_model_when_the_file_changed(web: Web, tmp_path: Path) -> None:
    fetch(tmp_path / "model", f"{web.url}/m/model.safetensors")
    make_model(web.root / "m", parameters=7)
    assert fetch(tmp_path / "model", f"{web.url}/m/model.safetensors").card.parameters == 7


def test_fetch_asks_for_the_rest_only_when_the_connection_breaks(web: Web, tmp_path: Path) -> None:
    web.cuts.append(("model.safetensors", 2_500_000))
    fetch(tmp_path / "model", f"{web.url}/m/model.safetensors")
    assert len(web.ranges) == 1
    assert int(web.ranges[0].removeprefix("bytes=").removesuffix("-")) > 2_000_000
    assert digest(tmp_path / "model/model.safetensors") == digest(web.root / "m/model.safetensors")


def test_fetch_starts_over_when_the_file_changed_while_it_was_interrupted(web: Web, tmp_path: Path) -> None:
    web.cuts += [("model.safetensors", 500_000)] * 3
    with pytest.raises(SourceUnavailable):
        fetch(tmp_path / "model", f"{web.url}/m/model.safetensors")
    make_model(web.root / "m", parameters=PARAMETERS + 1)
    assert fetch(tmp_path / "model", f"{web.url}/m/model.safetensors").card.parameters == PARAMETERS + 1


def test_fetch_starts_over_when_the_server_states_no_version(web: Web, tmp_path: Path) -> None:
    web.states_versions = False
    web.cuts.append(("model.safetensors", 2_500_000))
    fetch(tmp_path / "model", f"{web.url}/m/model.safetensors")
    assert not web.ranges
    assert digest(tmp_path / "model/model.safetensors") == digest(web.root / "m/model.safetensors")


def test_fetch_gives_up_when_the_connection_always_breaks(web: Web, tmp_path: Path) -> None:
    web.cuts += [("model.safetensors", 10_000)] * 99
    with pytest.raises(SourceUnavailable, match="cannot be read") as fault:
        fetch(tmp_path / "model", f"{web.url}/m/model.safetensors")
    assert fault.value.exit_code == 69


@pytest.mark.parametrize("status", [429, 500, 503])
def test_fetch_tries_again_when_the_server_is_busy(web: Web, tmp_path: Path, status: int) -> None:
    web.failures += [("/m/model.safetensors", status)] * 2
    assert fetch(tmp_path / "model", f"{web.url}/m/model.safetensors").card.parameters == PARAMETERS


def test_fetch_refuses_when_the_digest_differs(web: Web, tmp_path: Path) -> None:
    with pytest.raises(ChecksumMismatch, match="the address demands 00"):
        fetch(tmp_path / "model", f"{web.url}/m/model.safetensors#sha256={'0' * 64}")
    with pytest.raises(UnusableModel, match="unfinished"):
        inspect_folder(tmp_path / "model")


def test_fetch_says_not_found_when_the_file_is_missing(web: Web, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="does not exist"):
        fetch(tmp_path / "model", f"{web.url}/none/model.safetensors")


def test_fetch_says_not_found_when_there_is_no_config_beside(web: Web, tmp_path: Path) -> None:
    ModelFolder(web.root / "bare").with_weights()
    with pytest.raises(ModelNotFound, match=r"config\.json does not exist"):
        fetch(tmp_path / "model", f"{web.url}/bare/model.safetensors")


def test_fetch_says_credentials_are_wanted_when_none_were_sent(web: Web, tmp_path: Path) -> None:
    web.authorization = "Bearer right"
    with pytest.raises(NotAllowed, match="none were sent"):
        fetch(tmp_path / "model", f"{web.url}/m/model.safetensors")


def test_fetch_sends_the_header_when_it_is_set(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web.authorization = "Bearer right"
    monkeypatch.setenv("HTTP_AUTHORIZATION", "Bearer wrong")
    with pytest.raises(NotAllowed, match="refuses the credentials"):
        fetch(tmp_path / "model", f"{web.url}/m/model.safetensors")
    monkeypatch.setenv("HTTP_AUTHORIZATION", "Bearer right")
    assert fetch(tmp_path / "model", f"{web.url}/m/model.safetensors").card.parameters == PARAMETERS


def test_fetch_keeps_the_header_to_itself_when_redirected_to_another_host(
    web: Web, tmp_path: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_AUTHORIZATION", "Bearer secret")
    with Web(web.root, certificate) as other:
        web.redirects["/m/model.safetensors"] = f"{other.url}/m/model.safetensors"
        fetch(tmp_path / "model", f"{web.url}/m/model.safetensors")
        assert set(other.seen_authorizations) == {""}
    assert set(web.seen_authorizations) == {"Bearer secret"}


def test_fetch_refuses_when_redirected_to_plain_http(web: Web, tmp_path: Path) -> None:
    web.redirects["/m/model.safetensors"] = "http://127.0.0.1:9/model.safetensors"
    with pytest.raises(NotAllowed, match="unencrypted"):
        fetch(tmp_path / "model", f"{web.url}/m/model.safetensors")


def test_fetch_says_unavailable_when_the_certificate_is_unknown(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(SourceUnavailable, match=r"(?i)certificate"):
        fetch(tmp_path / "model", f"{web.url}/m/model.safetensors")


def test_fetch_says_disk_full_before_it_starts_when_there_is_no_room(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(DiskFull):
        fetch(tmp_path / "model", f"{web.url}/m/model.safetensors")
    assert web.requests == ["HEAD /m/model.safetensors"]


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("https://example.org/model.bin", "neither an archive nor a safetensors"),
        ("https://example.org/", "names no file"),
        ("https://me:secret@example.org/m.tar", "carries credentials"),
        ("https://example.org/m.tar#md5=00", "no digest"),
        ("http://example.org/m.tar", "not encrypted"),
        ("ftp://example.org/m.tar", "cannot fetch"),
        ("ftp://bucket/m", "cannot fetch"),
        ("pvc://claim/path", "mounted into the pod"),
        ("oci://registry/image", "mounted into the pod"),
        ("hf://", "no hub address"),
        ("hf://a/b/c", "no hub address"),
        ("hf://../x", "no hub address"),
    ],
)
def test_fetch_refuses_the_address_and_says_why(tmp_path: Path, uri: str, problem: str) -> None:
    with pytest.raises(BadSettings, match=problem) as fault:
        fetch(tmp_path / "model", uri)
    assert fault.value.exit_code == 64
    assert "secret" not in str(fault.value)


def tar_with(member: tarfile.TarInfo, content: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def link(kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo("config.json")
    member.type, member.linkname = kind, "/etc/passwd"
    return member


HOSTILE = {
    "climbing.tar": tar_with(tarfile.TarInfo("../../evil.json"), b"x"),
    "absolute.tar": tar_with(tarfile.TarInfo("/tmp/evil.json"), b"x"),
    "symlink.tar": tar_with(link(tarfile.SYMTYPE)),
    "hardlink.tar": tar_with(link(tarfile.LNKTYPE)),
    "device.tar": tar_with(link(tarfile.CHRTYPE)),
    "damaged.tar.gz": b"\x1f\x8b\x08 not really",
    "empty.tar": b"",
    "damaged.zip": b"PK\x03\x04 not really",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_fetch_refuses_a_hostile_or_damaged_archive(web: Web, tmp_path: Path, name: str) -> None:
    (web.root / name).write_bytes(HOSTILE[name])
    with pytest.raises(UnusableModel):
        fetch(tmp_path / "deep/er/model", f"{web.url}/{name}")
    outside = list(tmp_path.rglob("evil*"))
    assert not outside
    assert not Path("/tmp/evil.json").exists()


def test_fetch_refuses_a_zip_that_climbs_out(web: Web, tmp_path: Path) -> None:
    with zipfile.ZipFile(web.root / "z.zip", "w") as archive:
        archive.writestr("../evil.json", "x")
    with pytest.raises(UnusableModel, match="leads out"):
        fetch(tmp_path / "model", f"{web.url}/z.zip")


def test_fetch_says_disk_full_when_the_archive_unfolds_beyond_the_volume(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(web.root / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.safetensors", bytes(50_000_000))
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setattr(staging, "RESERVE_BYTES", free - 20_000_000)
    with pytest.raises(DiskFull):
        fetch(tmp_path / "model", f"{web.url}/bomb.zip")
