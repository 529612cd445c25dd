"""Tasks that read texts together: what is asked for over HTTP, and what is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelservice_runtime.errors import UnusableModel
from tests.matrix.support.text_encoders import make_text_encoder
from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch

HEAD = "ForSequenceClassification"
PREDICT = "/v1/models/tiny:predict"


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(make_text_encoder(tmp_path_factory.mktemp("reranker"), "bert", HEAD, num_labels=1)) as server:
        yield server


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    labels = {0: "ENTAILMENT", 1: "neutral", 2: "contradiction"}
    with running(make_text_encoder(tmp_path_factory.mktemp("judge"), "bert", HEAD, id2label=labels)) as server:
        yield server


@pytest.fixture(scope="module")
def answerer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(make_text_encoder(tmp_path_factory.mktemp("answerer"), "bert", "ForQuestionAnswering")) as server:
        yield server


def refusal(server: RunningServer, path: str, body: dict[str, Any]) -> tuple[str, str]:
    answer = server.post(path, **body) if path.startswith("/v1/r") else server.http.post(path, json=body)
    assert answer.status_code == 400, answer.text
    return answer.json()["error"]["param"], answer.json()["error"]["message"]


def test_only_the_best_documents_are_given_when_top_n_is_asked(reranker: RunningServer) -> None:
    documents = ["the fox", {"text": "a bear"}, "Paris"]
    all_of_them = reranker.post("/v1/rerank", query="fox", documents=documents).json()
    best = reranker.post("/v1/rerank", query="fox", documents=documents, top_n=2).json()
    assert best["results"] == all_of_them["results"][:2]
    assert "document" not in best["results"][0]
    assert best["usage"]["total_tokens"] > 0


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"query": "a", "documents": []}, "documents", "at least 1"),
        ({"query": "a", "documents": ["b"], "top_n": 0}, "top_n", "greater than or equal to 1"),
        ({"query": "a", "documents": ["b"], "max_chunks_per_doc": 4}, "max_chunks_per_doc", "read whole"),
        ({"query": "a", "documents": ["b", "the fox " * 60]}, "documents.1", "reads 96"),
        ({"query": "a", "documents": ["b"] * 257}, "input", "at most 256"),
        ({"documents": ["b"]}, "query", "required"),
    ],
)
def test_field_is_named_when_documents_cannot_be_ranked(
    reranker: RunningServer, body: dict[str, Any], param: str, words: str
) -> None:
    named, message = refusal(reranker, "/v1/rerank", body)
    assert (named, words in message) == (param, True), message


def test_sentence_is_named_when_it_is_too_long_to_compare(encoder_folder: Path) -> None:
    with running(encoder_folder) as server:
        answer = server.post("/v1/similarity", source_sentence="a", sentences=["b", "the fox " * 60])
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "sentences.1")
        answer = server.post("/v1/classify", input="a")
        assert "/v1/embeddings" in answer.json()["error"]["message"]


def test_classify_gives_the_labels_of_predict_when_labels_are_brought_along(judge: RunningServer) -> None:
    labels = ["fox", "bear", "server"]
    answer = judge.post("/v1/classify", input="the fox", candidate_labels=labels, multi_label=True, top_k=2).json()
    instance = {"text": "the fox", "candidate_labels": labels, "multi_label": True}
    (predicted,) = judge.http.post(PREDICT, json={"instances": [instance]}).json()["predictions"]
    assert answer["data"][0]["labels"] == predicted[:2]


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"input": "a"}, "candidate_labels", "name them"),
        ({"input": "a", "candidate_labels": []}, "candidate_labels", "at least 1"),
        ({"input": "a", "candidate_labels": ["x"], "hypothesis_template": "no slot"}, "hypothesis_template", "{}"),
        ({"input": ["a", "b"], "candidate_labels": ["x"] * 200}, "candidate_labels", "at most 256"),
        ({"input": "a", "candidate_labels": ["x"], "aggregation_strategy": "max"}, "aggregation_strategy", "zero-shot"),
        ({"input": {"text": "a", "text_pair": "b"}, "candidate_labels": ["x"]}, "input", "single texts"),
    ],
)
def test_field_is_named_when_labels_cannot_be_judged(
    judge: RunningServer, body: dict[str, Any], param: str, words: str
) -> None:
    named, message = refusal(judge, "/v1/classify", {"model": "tiny", **body})
    assert (named, words in message) == (param, True), message


@pytest.mark.parametrize(
    ("instance", "parameters", "param", "words"),
    [
        ({"question": "where", "context": " \n "}, {}, "context", "no words"),
        ({"question": "where " * 60, "context": "here"}, {}, "question", "leaves no room"),
        ({"question": "where", "context": "the fox runs " * 5000}, {}, "context", "more than 256 windows"),
        ({"question": "where"}, {}, "instances.0.context", "required"),
        ({"question": "where", "context": "here"}, {"top_k": 21}, "parameters.top_k", "less than or equal to 20"),
    ],
)
def test_field_is_named_when_a_question_cannot_be_answered(
    answerer: RunningServer, instance: dict[str, str], parameters: dict[str, int], param: str, words: str
) -> None:
    named, message = refusal(answerer, PREDICT, {"instances": [instance], "parameters": parameters})
    assert (named, words in message) == (param, True), message


def test_questions_of_one_call_are_answered_each_by_itself(answerer: RunningServer) -> None:
    one = {"question": "where", "context": "the fox runs away from the bear"}
    other = {"question": "who", "context": "Paris is the capital of France. " * 20}
    together = answerer.http.post(PREDICT, json={"instances": [one, other]}).json()["predictions"]
    alone = [answerer.http.post(PREDICT, json={"instances": [each]}).json()["predictions"][0] for each in (one, other)]
    assert [answers[0]["text"] for answers in together] == [answers[0]["text"] for answers in alone]


@pytest.mark.parametrize(
    ("task", "words"), [("rerank", "has 2 labels"), ("zero-shot-classification", "none of which is entailment")]
)
def test_classifier_is_refused_when_its_labels_do_not_fit_the_task(tmp_path: Path, task: str, words: str) -> None:
    folder = make_text_encoder(tmp_path, "bert", HEAD, id2label={0: "no", 1: "yes"})
    server = RunningServer(folder, task=task)
    with pytest.raises(UnusableModel, match=words) as raised:
        server.wait_ready()
    server.join()
    assert "BertForSequenceClassification" in str(raised.value)
    assert raised.value.exit_code == 65
