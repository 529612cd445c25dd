"""Entities and fills over HTTP: what is asked for, and what is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelservice_runtime.errors import UnusableModel
from tests.matrix.support.text_encoders import make_text_encoder
from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch

TAGS = {0: "O", 1: "B-PER", 2: "I-PER"}
PREDICT = "/v1/models/tiny:predict"
TEXT = "Zürich is where Señor Fox lives"


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = make_text_encoder(tmp_path_factory.mktemp("tagger"), "bert", "ForTokenClassification", id2label=TAGS)
    with running(folder) as server:
        yield server


@pytest.fixture(scope="module")
def filler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = make_text_encoder(tmp_path_factory.mktemp("filler"), "roberta", "ForMaskedLM")
    with running(folder) as server:
        yield server


def test_classify_gives_the_entities_of_predict_when_the_model_labels_tokens(tagger: RunningServer) -> None:
    answer = tagger.post("/v1/classify", input=[TEXT, "Paris"], aggregation_strategy="none").json()
    body = {"instances": [TEXT, "Paris"], "parameters": {"aggregation_strategy": "none"}}
    predictions = tagger.http.post(PREDICT, json=body).json()["predictions"]
    assert [item["entities"] for item in answer["data"]] == predictions
    assert any(predictions)
    assert answer["usage"]["prompt_tokens"] > 0


def test_entities_are_stretches_of_the_text_when_it_has_accents(tagger: RunningServer) -> None:
    (item,) = tagger.post("/v1/classify", input=TEXT).json()["data"]
    assert all(entity["text"] == TEXT[entity["start"] : entity["end"]] for entity in item["entities"])
    assert all(entity["label"] == "PER" for entity in item["entities"])


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"input": "a", "top_k": 1}, "top_k", "token-classification"),
        ({"input": "a", "aggregation_strategy": "best"}, "aggregation_strategy", "'none', 'simple'"),
        ({"input": ["a", "the fox " * 60]}, "input.1", "reads 96"),
        ({"input": [1, 2]}, "input.0", "valid string"),
    ],
)
def test_field_is_named_when_entities_cannot_be_found(
    tagger: RunningServer, body: dict[str, object], param: str, words: str
) -> None:
    answer = tagger.post("/v1/classify", **body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], words in error["message"]) == (400, param, True), error


def test_masks_are_filled_alike_however_they_are_spelled(filler: RunningServer) -> None:
    texts = ["the <mask> fox", "the [MASK] fox"]
    one, other = filler.http.post(PREDICT, json={"instances": texts, "parameters": {"top_k": 3}}).json()["predictions"]
    assert one == other
    assert [len(fills) for fills in one] == [3]


def test_way_in_is_told_when_a_model_that_fills_is_asked_to_classify(filler: RunningServer) -> None:
    error = filler.post("/v1/classify", input="a").json()["error"]
    assert "use /v1/models/tiny:predict" in error["message"]


@pytest.mark.parametrize(
    ("instances", "parameters", "param", "words"),
    [
        (["no mask here"], {}, "input", "write <mask>"),
        (["a [MASK]"], {"top_k": 101}, "parameters.top_k", "less than or equal to 100"),
        (["[MASK]" * 20] * 3, {"top_k": 100}, "top_k", "6000 fills are asked for"),
    ],
)
def test_field_is_named_when_nothing_can_be_filled(
    filler: RunningServer, instances: list[str], parameters: dict[str, int], param: str, words: str
) -> None:
    answer = filler.http.post(PREDICT, json={"instances": instances, "parameters": parameters})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], words in error["message"]) == (400, param, True), error


def test_model_is_refused_when_its_tokenizer_has_no_mask(tmp_path: Path, decoder_folder: Path) -> None:
    folder = make_text_encoder(tmp_path, "bert", "ForMaskedLM")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((decoder_folder / name).read_bytes())
    server = RunningServer(folder)
    with pytest.raises(UnusableModel, match="no mask token"):
        server.wait_ready()
    server.join()


def test_task_is_refused_by_the_name_of_the_architecture_when_it_has_no_such_head(decoder_folder: Path) -> None:
    server = RunningServer(decoder_folder, task="fill-mask")
    with pytest.raises(UnusableModel, match="Llama") as raised:
        server.wait_ready()
    server.join()
    assert raised.value.exit_code == 65
