from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch

PREDICT = "/v1/models/tiny:predict"


@pytest.fixture(scope="module")
def classifier(classifier_folder: Path) -> Iterator[RunningServer]:
    with running(classifier_folder) as server:
        yield server


def predict(server: RunningServer, instances: list[object], **parameters: object) -> list[object]:
    answer = server.http.post(PREDICT, json={"instances": instances, "parameters": parameters})
    assert answer.status_code == 200, answer.text
    found: list[object] = answer.json()["predictions"]
    return found


def test_predictions_are_those_of_classify_when_the_task_is_classification(classifier: RunningServer) -> None:
    texts = ["the fox", "a bear runs away"]
    expected = classifier.post("/v1/classify", input=texts).json()["data"]
    found = predict(classifier, [texts[0], {"text": texts[1]}])
    assert found == [item["labels"] for item in expected]
    assert [len(labels) for labels in predict(classifier, list(texts), top_k=1)] == [1, 1]  # type: ignore[arg-type]


def test_predictions_are_those_of_embeddings_when_the_task_is_features(encoder_folder: Path) -> None:
    with running(encoder_folder) as server:
        data = server.post("/v1/embeddings", input="the fox", encoding_format="float").json()["data"][0]["embedding"]
        (vector,) = predict(server, ["the fox"])
    assert vector == pytest.approx(data)


def test_predictions_are_those_of_completions_when_the_task_is_generation(decoder_folder: Path) -> None:
    with running(decoder_folder) as server:
        completion = server.post("/v1/completions", prompt="the quick", max_tokens=8, temperature=0).json()
        found = predict(server, ["the quick", {"prompt": "the quick"}], max_new_tokens=8)
    expected = {"text": completion["choices"][0]["text"], "finish_reason": completion["choices"][0]["finish_reason"]}
    assert found == [expected, expected]


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"instances": []}, "instances", "at least 1"),
        ({"instances": [3]}, "instances.0.text", "valid string"),
        ({"instances": [{"words": "x"}]}, "instances.0.words", "unknown field"),
        ({"instances": ["x"], "parameters": {"top_q": 1}}, "parameters.top_q", "unknown field"),
        ({"instances": ["x"], "parameters": {"top_k": -1}}, "parameters.top_k", "greater than or equal to 0"),
        ({"instance": ["x"]}, "instance", "unknown field"),
    ],
)
def test_field_is_named_when_a_value_does_not_fit(
    classifier: RunningServer, body: dict[str, object], param: str, words: str
) -> None:
    answer = classifier.http.post(PREDICT, json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], words in error["message"]) == (param, True), error


def test_model_is_refused_when_its_name_is_unknown(classifier: RunningServer) -> None:
    answer = classifier.http.post("/v1/models/other:predict", json={"instances": ["x"]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
