"""The real client downloads from a hub that speaks the real protocol, whatever goes wrong on the way."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi

from modelservice_runtime.errors import (
    ChecksumMismatch,
    DiskFull,
    ModelGated,
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
from tests.support.hub import Access, Hub

ACCESS = Access(tokens={"member": ["acme/gated"], "stranger": []}, private=["acme/private"], gated=["acme/gated"])
HASTY = Retry(attempts=3, base=0.01)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    root = tmp_path / "hub"
    for name in ("open", "private", "gated"):
        make_model(root / "acme" / name, parameters=300_000)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    with Hub(root, ACCESS) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def fetch(folder: Path, repo: str = "acme/open", **options: object) -> FetchResult:
    return fetch_model(FetchRequest(f"hf://{repo}", folder, retry=HASTY, **options))  # type: ignore[arg-type]


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_fetch_brings_the_model_and_reports_its_commit(hub: Hub, tmp_path: Path) -> None:
    result = fetch(tmp_path / "model").to_result()
    assert names(tmp_path / "model") == {"config.json", "model.safetensors", "tokenizer.json", staging.MARKER}
    assert (result["architecture"], result["parameters"], result["format"]) == (
        "LlamaForCausalLM", 300_000, "safetensors",
    )  # fmt: skip
    assert len(result["resolvedRevision"]) == 40
    original = hub.root / "acme/open/model.safetensors"
    assert (tmp_path / "model/model.safetensors").read_bytes() == original.read_bytes()


def test_fetch_takes_nothing_again_when_the_model_is_there(hub: Hub, tmp_path: Path) -> None:
    fetch(tmp_path / "model")
    hub.requests.clear()
    fetch(tmp_path / "model")
    assert not [request for request in hub.requests if "/resolve/" in request]


def test_fetch_replaces_the_model_when_the_repository_changed(hub: Hub, tmp_path: Path) -> None:
    ModelFolder(hub.root / "acme/open").with_file("added_tokens.json")
    first = fetch(tmp_path / "model").card
    (hub.root / "acme/open/added_tokens.json").unlink()
    make_model(hub.root / "acme/open", parameters=5)
    second = fetch(tmp_path / "model").card
    assert (first.parameters, second.parameters) == (300_000, 5)
    assert first.resolved_revision != second.resolved_revision
    assert "added_tokens.json" not in names(tmp_path / "model")


def test_fetch_never_takes_pickles_even_when_asked_for(hub: Hub, tmp_path: Path) -> None:
    ModelFolder(hub.root / "acme/open").with_file("pytorch_model.bin", b"\x80\x04evil").with_file("extra.pkl", b"\x80")
    fetch(tmp_path / "model", include=["*.safetensors", "*.bin", "*.pkl"])
    assert not {"pytorch_model.bin", "extra.pkl"} & names(tmp_path / "model")


def test_fetch_takes_the_chosen_weights_and_all_descriptions_when_include_is_given(hub: Hub, tmp_path: Path) -> None:
    ModelFolder(hub.root / "acme/open").with_weights("other.safetensors").with_file("notes.txt").with_file("big.onnx")
    fetch(tmp_path / "model", include=["model.*"], exclude=["notes.txt"])
    assert names(tmp_path / "model") == {"config.json", "model.safetensors", "tokenizer.json", staging.MARKER}


def test_fetch_pages_through_the_listing_when_there_are_many_files(hub: Hub, tmp_path: Path) -> None:
    folder = ModelFolder(hub.root / "acme/open")
    for number in range(60):
        folder.with_file(f"extra/{number}.json")
    fetch(tmp_path / "model")
    assert len(names(tmp_path / "model")) == 64


def test_fetch_refuses_when_the_repository_has_pickles_only(hub: Hub, tmp_path: Path) -> None:
    ModelFolder(hub.root / "acme/old").with_config().with_file("pytorch_model.bin", b"\x80")
    with pytest.raises(UnusableModel, match=r"only pytorch_model\.bin, which may run code"):
        fetch(tmp_path / "model", "acme/old")


def test_fetch_honours_a_commit_when_it_is_named(hub: Hub, tmp_path: Path) -> None:
    commit = fetch(tmp_path / "one").card.resolved_revision
    assert fetch(tmp_path / "two", revision=commit).card.resolved_revision == commit


def test_fetch_names_the_revision_when_it_does_not_exist(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no revision 'v9'"):
        fetch(tmp_path / "model", revision="v9")


def test_fetch_admits_not_knowing_when_an_anonymous_caller_gets_401(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="does not exist or is private") as fault:
        fetch(tmp_path / "model", "acme/missing")
    assert (fault.value.exit_code, fault.value.reason) == (66, "ModelNotFound")
    assert "secretRef" in fault.value.hint
    with pytest.raises(ModelNotFound, match="does not exist or is private"):
        fetch(tmp_path / "model", "acme/private")


def test_fetch_says_not_found_when_a_token_was_sent(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "stranger")
    with pytest.raises(ModelNotFound, match="does not exist") as fault:
        fetch(tmp_path / "model", "acme/missing")
    assert fault.value.exit_code == 66


def test_fetch_says_auth_failed_when_the_token_is_wrong(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "stolen")
    with pytest.raises(NotAllowed, match="refuses the credentials") as fault:
        fetch(tmp_path / "model", "acme/private")
    assert (fault.value.exit_code, fault.value.reason) == (77, "ModelAuthFailed")


def test_fetch_brings_a_private_model_when_the_token_is_right(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "stranger")
    assert fetch(tmp_path / "model", "acme/private").card.parameters == 300_000


@pytest.mark.parametrize("token", ["", "stranger"])
def test_fetch_says_gated_when_the_terms_were_not_accepted(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ModelGated, match="is gated") as fault:
        fetch(tmp_path / "model", "acme/gated")
    assert (fault.value.exit_code, fault.value.reason) == (77, "ModelGated")


def test_fetch_brings_a_gated_model_when_access_was_granted(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "member")
    assert fetch(tmp_path / "model", "acme/gated").card.parameters == 300_000


def test_fetch_goes_on_where_it_was_when_the_connection_breaks(hub: Hub, tmp_path: Path) -> None:
    hub.break_connection("model.safetensors", after=400_000)
    fetch(tmp_path / "model")
    assert inspect_folder(tmp_path / "model").parameters == 300_000


@pytest.mark.parametrize("part", ["/api/models/acme/open/revision", "/tree/", "/resolve/"])
@pytest.mark.parametrize("status", [500, 503, 429])
def test_fetch_tries_again_when_the_hub_is_busy(hub: Hub, tmp_path: Path, part: str, status: int) -> None:
    hub.break_status(part, status)
    assert fetch(tmp_path / "model").card.parameters == 300_000


def test_fetch_gives_up_when_the_hub_stays_broken(hub: Hub, tmp_path: Path) -> None:
    hub.break_status("/revision/", 503, times=99)
    with pytest.raises(SourceUnavailable, match="HTTP 503") as fault:
        fetch(tmp_path / "model")
    assert fault.value.exit_code == 69
    assert sum("/revision/" in request for request in hub.requests) == HASTY.attempts


def test_fetch_says_unavailable_when_nothing_listens(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        fetch(tmp_path / "model")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_fetch_refuses_damaged_bytes_and_recovers_when_they_are_right(hub: Hub, tmp_path: Path, name: str) -> None:
    hub.break_content(name)
    with pytest.raises(ChecksumMismatch, match=name):
        fetch(tmp_path / "model")
    with pytest.raises(UnusableModel, match="unfinished"):
        inspect_folder(tmp_path / "model")
    hub.mend_content()
    assert fetch(tmp_path / "model").card.parameters == 300_000


def test_fetch_keeps_finished_files_when_it_was_interrupted(hub: Hub, tmp_path: Path) -> None:
    hub.break_status("/model.safetensors", 404)
    with pytest.raises(ModelNotFound):
        fetch(tmp_path / "model")
    hub.requests.clear()
    fetch(tmp_path / "model")
    asked = [request for request in hub.requests if request.startswith("GET") and request.endswith(".json")]
    assert not asked
    assert inspect_folder(tmp_path / "model").parameters == 300_000


def test_fetch_says_disk_full_before_it_starts_when_there_is_no_room(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(DiskFull, match="the model needs 1 MB more") as fault:
        fetch(tmp_path / "model")
    assert fault.value.exit_code == 71
    assert not [request for request in hub.requests if "/resolve/" in request]


def test_inspect_reads_headers_only_when_the_model_is_far(hub: Hub) -> None:
    ModelFolder(hub.root / "acme/open").with_file("tokenizer_config.json", json.dumps({"chat_template": "x"}))
    card = inspect_model("hf://acme/open", "", HASTY)
    assert (card.architecture, card.task, card.parameters, card.dtype) == (
        "LlamaForCausalLM", "chat", 300_000, "float32",
    )  # fmt: skip
    assert card.size_bytes == (hub.root / "acme/open/model.safetensors").stat().st_size


def test_fetch_brings_an_adapter_which_has_no_config_of_its_own(hub: Hub, tmp_path: Path) -> None:
    source = ModelFolder(tmp_path / "hub" / "acme" / "adapter").with_weights("adapter_model.safetensors", 7)
    source.with_file("adapter_config.json", "{}")
    result = fetch(tmp_path / "adapter", "acme/adapter")
    assert names(tmp_path / "adapter") >= {"adapter_config.json", "adapter_model.safetensors"}
    assert result.card.parameters == 7
    assert len(result.card.resolved_revision or "") == 40


def test_inspect_looks_at_the_files_that_fetch_would_bring(hub: Hub, tmp_path: Path) -> None:
    ModelFolder(hub.root / "acme/odd").with_config().with_weights("base.safetensors", 5).with_weights(
        "w.safetensors", 7
    )
    assert inspect_model("hf://acme/odd", "", HASTY, (), ["base*"]).parameters == 7
    assert inspect_model("hf://acme/odd", "", HASTY).parameters == 12
    assert fetch(tmp_path / "odd", "acme/odd", exclude=["base*"]).card.parameters == 7
    with pytest.raises(UnusableModel, match="leave no safetensors"):
        inspect_model("hf://acme/odd", "", HASTY, ["nothing*"])


def test_inspect_adds_up_the_shards_of_an_index(hub: Hub) -> None:
    ModelFolder(hub.root / "acme/parts").with_config().with_shards(3, parameters=10)
    assert inspect_model("hf://acme/parts", "", HASTY).parameters == 30


@pytest.mark.parametrize(("asked", "at_once"), [(0, 4), (9, 9)])
def test_files_are_fetched_as_many_at_a_time_as_asked_for(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: int, at_once: int
) -> None:
    seen: list[int] = []
    real = HfApi.snapshot_download

    def noted(*args: Any, **options: Any) -> Any:
        seen.append(options["max_workers"])
        return real(*args, **options)

    monkeypatch.setattr(HfApi, "snapshot_download", noted)
    fetch(tmp_path / "model", parallel=asked)
    assert seen == [at_once]
