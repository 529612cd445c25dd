import base64
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from tests.runtime.support.server import RunningServer, running
from tests.runtime.support.tiny_models import make_encoder

pytestmark = pytest.mark.torch

TEXTS = [
    "the fox",
    "a bear runs away from the angry dog",
    "Paris",
    "every prompt has tokens and every request a prompt",
]


@pytest.fixture(scope="module")
def embedder(encoder_folder: Path) -> Iterator[RunningServer]:
    with running(encoder_folder) as server:
        yield server


@pytest.fixture(scope="module")
def classifier(classifier_folder: Path) -> Iterator[RunningServer]:
    with running(classifier_folder) as server:
        yield server


def reference_vectors(folder: Path, pooling: str, normalise: bool) -> torch.Tensor:
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    rows = []
    for text in TEXTS:
        hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        rows.append({"mean": hidden.mean(dim=0), "cls": hidden[0]}[pooling])
    vectors = torch.stack(rows).detach()
    return torch.nn.functional.normalize(vectors, dim=1) if normalise else vectors


def vectors_of(server: RunningServer, texts: list[str]) -> torch.Tensor:
    answer = server.post("/v1/embeddings", input=texts).json()
    assert [item["index"] for item in answer["data"]] == list(range(len(texts)))
    return torch.tensor([item["embedding"] for item in answer["data"]])


def test_vectors_equal_the_reference_when_batched(embedder: RunningServer, encoder_folder: Path) -> None:
    expected = reference_vectors(encoder_folder, "mean", True)
    torch.testing.assert_close(vectors_of(embedder, TEXTS), expected, atol=1e-5, rtol=0)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda index: vectors_of(embedder, [TEXTS[index % 4]]), range(24)))
    for index, vector in enumerate(answers):
        torch.testing.assert_close(vector[0], expected[index % 4], atol=1e-5, rtol=0)


def test_pooling_follows_the_repository_when_it_states_another(tmp_path: Path) -> None:
    folder = make_encoder(tmp_path, pooling="cls", normalise=False)
    with running(folder) as server:
        expected = reference_vectors(folder, "cls", False)
        torch.testing.assert_close(vectors_of(server, TEXTS), expected, atol=1e-5, rtol=0)


def test_base64_holds_the_same_numbers_as_float(embedder: RunningServer) -> None:
    encoded = embedder.post("/v1/embeddings", input="the fox", encoding_format="base64").json()["data"][0]["embedding"]
    data = base64.b64decode(encoded)
    assert list(struct.unpack(f"<{len(data) // 4}f", data)) == pytest.approx(
        vectors_of(embedder, ["the fox"])[0].tolist()
    )


def test_usage_counts_tokens_and_token_ids_are_taken(embedder: RunningServer, encoder_folder: Path) -> None:
    ids = AutoTokenizer.from_pretrained(encoder_folder)("the fox")["input_ids"]
    by_ids = embedder.post("/v1/embeddings", input=ids).json()
    assert by_ids["usage"] == {"prompt_tokens": len(ids), "completion_tokens": 0, "total_tokens": len(ids)}
    assert by_ids["data"] == embedder.post("/v1/embeddings", input=["the fox"]).json()["data"]


def test_input_is_refused_with_numbers_when_too_long(embedder: RunningServer) -> None:
    response = embedder.post("/v1/embeddings", input=["a", "the fox " * 40])
    error = response.json()["error"]
    assert response.status_code == 400
    assert error["param"] == "input.1"
    assert "reads 48" in error["message"]


def test_too_many_inputs_are_refused(embedder: RunningServer) -> None:
    response = embedder.post("/v1/embeddings", input=["a"] * 300)
    assert response.status_code == 400
    assert "at most 256" in response.json()["error"]["message"]


def test_dimensions_are_refused_rather_than_ignored(embedder: RunningServer) -> None:
    response = embedder.post("/v1/embeddings", input="a", dimensions=8)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "dimensions"


def test_labels_equal_the_reference_and_come_sorted(classifier: RunningServer, classifier_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(classifier_folder)
    model = AutoModelForSequenceClassification.from_pretrained(classifier_folder)
    answer = classifier.post("/v1/classify", input=TEXTS).json()
    for text, item in zip(TEXTS, answer["data"], strict=True):
        scores = model(**tokenizer(text, return_tensors="pt")).logits[0].softmax(0).tolist()
        expected = sorted(zip(scores, ("negative", "neutral", "positive"), strict=True), reverse=True)
        assert [label["label"] for label in item["labels"]] == [label for _, label in expected]
        assert [label["score"] for label in item["labels"]] == pytest.approx([score for score, _ in expected], abs=1e-5)
        assert (item["label"], item["score"]) == (item["labels"][0]["label"], item["labels"][0]["score"])


def test_only_the_best_labels_are_given_when_top_k_is_asked(classifier: RunningServer) -> None:
    answer = classifier.post("/v1/classify", input="the fox", top_k=2).json()
    assert len(answer["data"][0]["labels"]) == 2


def test_status_tells_the_task_when_ready(classifier: RunningServer) -> None:
    model = classifier.admin.get("/status").json()["model"]
    assert (model["task"], model["architecture"]) == ("text-classification", "BertForSequenceClassification")
