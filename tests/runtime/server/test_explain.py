import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from captum.attr import IntegratedGradients
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.matrix.support.text_encoders import make_text_encoder
from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch

TEXT = "the quick brown fox runs away from the angry bear"


@pytest.fixture(scope="module")
def classifier(classifier_folder: Path) -> Iterator[RunningServer]:
    with running(classifier_folder) as server:
        yield server


def explain(server: RunningServer, **body: Any) -> dict[str, Any]:
    answer = server.post("/v1/explain", input=TEXT, **body)
    assert answer.status_code == 200, answer.text
    (found,) = answer.json()["data"]
    return dict(found)


def odds(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_shares_are_those_of_captum_when_the_method_is_integrated_gradients(
    classifier: RunningServer, classifier_folder: Path
) -> None:
    found = explain(classifier, baseline="pad", steps=64, target="neutral")
    model = AutoModelForSequenceClassification.from_pretrained(classifier_folder).eval()
    ids = torch.tensor([AutoTokenizer.from_pretrained(classifier_folder)(TEXT)["input_ids"]])
    embed = model.get_input_embeddings()
    point, baseline = embed(ids).detach(), embed(ids).detach().clone()
    baseline[:, 1:-1] = embed(torch.zeros_like(ids))[:, 1:-1].detach()

    def score(points: Any) -> Any:
        logits = model(inputs_embeds=points).logits
        return logits[:, 1] - torch.cat([logits[:, :1], logits[:, 2:]], dim=-1).logsumexp(dim=-1)

    expected = IntegratedGradients(score).attribute(point, baseline, n_steps=200).sum(dim=-1)[0, 1:-1]
    assert [token["score"] for token in found["tokens"]] == pytest.approx(expected.tolist(), abs=2e-3)


def test_shares_add_up_to_the_difference_when_the_method_is_integrated_gradients(classifier: RunningServer) -> None:
    found = explain(classifier, steps=64)
    difference = odds(found["target"]["score"]) - odds(found["baseline"]["score"])
    assert abs(found["convergence_delta"]) < 1e-2
    assert sum(token["score"] for token in found["tokens"]) == pytest.approx(difference, abs=2e-2)


def test_predicted_label_is_explained_when_none_is_asked_for(classifier: RunningServer) -> None:
    first = classifier.post("/v1/classify", input=TEXT).json()["data"][0]
    found = explain(classifier, method="gradient")
    assert found["target"]["label"] == first["label"]
    assert found["target"]["score"] == pytest.approx(first["score"], abs=1e-4)


@pytest.mark.parametrize("method", ["integrated_gradients", "gradient", "occlusion", "attention"])
def test_tokens_cover_the_words_of_the_text(classifier: RunningServer, method: str) -> None:
    tokens = explain(classifier, method=method)["tokens"]
    assert "".join(token["text"] for token in tokens) == TEXT.replace(" ", "")
    assert all(TEXT[token["start"] : token["end"]] == token["text"] for token in tokens)
    assert all(math.isfinite(token["score"]) for token in tokens)


def test_loss_of_a_token_is_its_share_when_the_method_is_occlusion(classifier: RunningServer) -> None:
    found = explain(classifier, method="occlusion", baseline="zero", target="positive")
    assert found["convergence_delta"] is None
    assert any(token["score"] for token in found["tokens"])


def test_v1_explains_the_same_when_asked_by_instances(classifier: RunningServer) -> None:
    expected = explain(classifier, method="occlusion")
    body = {"instances": [TEXT, {"text": TEXT}], "parameters": {"method": "occlusion"}}
    found = classifier.http.post("/v1/models/tiny:explain", json=body).json()["explanations"]
    assert found == [{key: value for key, value in expected.items() if key != "index"}] * 2


def test_answers_are_the_same_after_an_explanation(classifier: RunningServer) -> None:
    before = classifier.post("/v1/classify", input=TEXT).json()["data"]
    for method in ("integrated_gradients", "attention"):
        explain(classifier, method=method)
    assert classifier.post("/v1/classify", input=TEXT).json()["data"] == before


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"method": "magic"}, "method", "integrated_gradients"),
        ({"target": "angry"}, "target", "it knows negative, neutral, positive"),
        ({"baseline": "blur"}, "baseline", "pad, zero"),
        ({"steps": 1000}, "steps", "less than or equal to 256"),
        ({"input": []}, "input", "at least 1"),
        ({"input": "the " * 100}, "input", "tokens"),
        ({"depth": 3}, "depth", "unknown field"),
    ],
)
def test_field_is_named_when_a_value_does_not_fit(
    classifier: RunningServer, body: dict[str, Any], param: str, words: str
) -> None:
    answer = classifier.post("/v1/explain", **{"input": TEXT, **body})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], words in error["message"]) == (400, param, True), error


def test_explanation_is_refused_when_the_task_gives_no_labels(encoder_folder: Path) -> None:
    with running(encoder_folder) as server:
        answer = server.post("/v1/explain", input=TEXT)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "not_explainable")
    assert "feature-extraction" in error["message"]


def test_surest_entity_is_explained_when_each_token_has_a_label(tmp_path: Path) -> None:
    labels = {0: "O", 1: "B-PER", 2: "I-PER"}
    folder = make_text_encoder(tmp_path, "bert", "ForTokenClassification", id2label=labels)
    with running(folder) as server:
        found = explain(server, steps=8)
        target = found["target"]
        assert target["label"] in ("B-PER", "I-PER")
        assert any((token["start"], token["end"]) == (target["start"], target["end"]) for token in found["tokens"])
        assert explain(server, steps=8, target="O")["target"]["label"] == "O"
