"""What `optimize` writes is served: a model of each kind answers over HTTP as its source does."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from modelservice_runtime.errors import BadSettings
from modelservice_runtime.preparing import comparison
from modelservice_runtime.preparing.options import PrepareOptions
from modelservice_runtime.preparing.report import Report
from modelservice_runtime.preparing.run import prepare_model
from tests.matrix.support.speech import make_ctc, make_whisper
from tests.matrix.support.vision import make_vit, picture, to_url
from tests.models.speech.synthesis import to_file
from tests.runtime.support.server import RunningServer, running
from tests.runtime.support.tiny_models import make_classifier, make_decoder, make_encoder

pytestmark = pytest.mark.torch

PREDICT = "/v1/models/tiny:predict"
SOUND = base64.b64encode(to_file(np.random.default_rng(5).normal(0, 0.1, 24_000).astype(np.float32), 16_000)).decode()
SHARD = 40_000


class Family(NamedTuple):
    make: Callable[[Path], Path]
    path: str
    body: dict[str, Any]
    answers: tuple[str, ...]


FAMILIES = {
    "decoder": Family(
        make_decoder,
        "/v1/completions",
        {"model": "tiny", "prompt": "the quick brown", "max_tokens": 12, "temperature": 0},
        ("cosine_mean", "top1", "same_answers", "same_tokens"),
    ),
    "classifier": Family(
        make_classifier,
        "/v1/classify",
        {"model": "tiny", "input": "the lazy dog"},
        ("cosine_mean", "top1", "same_answers"),
    ),
    "encoder": Family(make_encoder, "/v1/embeddings", {"model": "tiny", "input": "an angry bear"}, ("cosine_mean",)),
    "vision": Family(make_vit, PREDICT, {"instances": [to_url(picture(3))]}, ("cosine_mean", "top1", "same_answers")),
    "ctc": Family(
        lambda folder: make_ctc(folder, "wav2vec2"),
        PREDICT,
        {"instances": [SOUND]},
        ("cosine_mean", "top1", "same_answers"),
    ),
    "whisper": Family(make_whisper, PREDICT, {"instances": [SOUND]}, ("cosine_mean", "top1", "same_answers")),
}


@pytest.fixture(autouse=True)
def _short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "ROUND_SECONDS", 0.01)


def prepare(source: Path, target: Path, **options: Any) -> Report:
    return prepare_model(PrepareOptions(str(source), target, **{"rounds": 1, **options}))


def ask(server: RunningServer, family: Family) -> Any:
    answer = server.http.post(family.path, json=family.body)
    assert answer.status_code == 200, answer.text
    return {name: value for name, value in answer.json().items() if name not in ("id", "created")}


def flatten(value: Any, place: str = "", *, approximate: bool = False) -> dict[str, Any]:
    """Return the leaves of an answer by their places; `approximate` numbers equal those that differ by a rounding."""
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        leaves = (flatten(part, f"{place}.{key}", approximate=approximate) for key, part in parts)
        return {name: leaf for each in leaves for name, leaf in each.items()}
    return {place: pytest.approx(value, abs=1e-5) if approximate and isinstance(value, float) else value}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
def test_prepared_model_answers_as_its_source(tmp_path: Path, family: Family) -> None:
    (tmp_path / "source").mkdir()
    source = family.make(tmp_path / "source")
    report = prepare(source, tmp_path / "made", dtype="float32", shard_bytes=SHARD)
    assert (tmp_path / "made/model.safetensors.index.json").is_file()
    agreement = report.to_json()["comparison"]["agreement"]
    measured = {name for name, value in agreement.items() if value is not None}
    assert measured == {"samples", "cosine_least", *family.answers}
    assert all(agreement[name] == pytest.approx(1) for name in family.answers)
    with running(source) as server:
        expected = flatten(ask(server, family), approximate=True)
    with running(tmp_path / "made") as server:
        assert flatten(ask(server, family)) == expected


def test_rounded_model_differs_by_rounding_and_the_report_says_so(tmp_path: Path) -> None:
    report = prepare(make_decoder(tmp_path / "source"), tmp_path / "made", dtype="bfloat16", rounds=3)
    found = report.comparison
    assert found is not None
    assert 0.99 < (found.agreement.cosine_mean or 0) < 1
    for side in (found.before, found.after):
        assert side.speed is not None
        assert 0 < side.speed.slowest <= side.speed.median <= side.speed.fastest
    table = report.to_table()
    for words in ("tokens/s, median of 3", "weights, MB", "load, s", "top-1 agreement", "24 samples (built in)"):
        assert words in table
    assert "times the speed" in report.summary


def test_own_samples_are_measured_on(tmp_path: Path) -> None:
    lines = tmp_path / "samples.txt"
    lines.write_text("the quick dog\n\na lazy bear\n")
    source = make_classifier(tmp_path / "source")
    report = prepare(source, tmp_path / "made", samples=lines)
    assert report.comparison is not None
    assert (report.comparison.agreement.samples, report.comparison.samples) == (2, str(lines))
    lines.write_text("\n")
    for path, words in ((lines, "holds no text"), (tmp_path / "none", "cannot be read")):
        with pytest.raises(BadSettings, match=f"--samples: .* {words}"):
            prepare(source, tmp_path / "again", samples=path)
        assert not (tmp_path / "again").exists()


def test_folder_of_pictures_is_measured_on(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for seed in range(3):
        picture(seed).save(tmp_path / f"pictures/{seed}.png")
    report = prepare(make_vit(tmp_path / "source"), tmp_path / "made", samples=tmp_path / "pictures")
    assert report.comparison is not None
    assert report.comparison.agreement.samples == 3
