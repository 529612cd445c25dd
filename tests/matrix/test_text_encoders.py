"""Every task of a text encoder on every family, held equal to transformers' own pipeline or a plain forward pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    pipeline,
)

from tests.matrix.support.text_encoders import FAMILIES, LONGEST, make_text_encoder
from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch

TEXTS = [
    "The quick brown fox jumps over Zürich, and every café in France has a server.",
    "Paris",
    "angry bears; smörgåsbord!",
]
TAGS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}
TOLERANCE = 1e-3


CONTEXT = (
    "The quick brown fox jumps over the lazy dog and runs away from the angry bear. A server in Zürich answers; "
    "every request has a prompt, and every prompt has tokens. Paris is the capital of France."
)
QUESTIONS = ["What is the capital?", "Where is the server?"]
NLI = {0: "contradiction", 1: "neutral", 2: "entailment"}


@contextmanager
def serving(
    folder: Path, family: str, head: str, *, task: str = "auto", **config: Any
) -> Iterator[tuple[RunningServer, Path]]:
    make_text_encoder(folder, family, head, **config)
    with running(folder, task=task, engine={"dtype": "float32"}) as server:
        yield server, folder


def predict(server: RunningServer, instances: list[Any], **parameters: Any) -> list[Any]:
    answer = server.http.post("/v1/models/tiny:predict", json={"instances": instances, "parameters": parameters})
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["predictions"]
    return found


def close(value: float) -> Any:
    return pytest.approx(value, abs=TOLERANCE)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_entities_equal_the_pipeline_under_every_strategy(tmp_path: Path, family: str) -> None:
    with serving(tmp_path, family, "ForTokenClassification", id2label=TAGS) as (server, folder):
        reference = pipeline("token-classification", model=folder)
        for strategy in ("none", "simple", "first", "average", "max"):
            found = predict(server, TEXTS, aggregation_strategy=strategy)
            for text, entities in zip(TEXTS, found, strict=True):
                expected = reference(text, aggregation_strategy=strategy)
                kind = "entity" if strategy == "none" else "entity_group"
                assert entities == [
                    {
                        "label": entity[kind],
                        "score": close(float(entity["score"])),
                        "start": entity["start"],
                        "end": entity["end"],
                        "text": text[entity["start"] : entity["end"]],
                    }
                    for entity in expected
                ]


def test_fills_equal_the_pipeline_for_one_mask_and_for_several(tmp_path: Path, family: str) -> None:
    with serving(tmp_path, family, "ForMaskedLM") as (server, folder):
        reference = pipeline("fill-mask", model=folder)
        mask = reference.tokenizer.mask_token
        texts = [f"the quick {mask} jumps over the lazy dog", f"Paris is the {mask} of {mask}"]
        found = predict(server, texts, top_k=4)
    for text, masks in zip(texts, found, strict=True):
        expected = reference(text, top_k=4)
        several = [expected] if len(masks) == 1 else expected
        assert masks == [
            [
                {
                    "token": fill["token_str"],
                    "token_id": fill["token"],
                    "score": close(fill["score"]),
                    "sequence": fill["sequence"],
                }
                for fill in fills
            ]
            for fills in several
        ]


def test_labels_of_texts_and_of_pairs_equal_the_model(tmp_path: Path, family: str) -> None:
    pairs = [(TEXTS[0], None), (TEXTS[0], "a lazy dog"), ("Paris", "the capital of France")]
    with serving(tmp_path, family, "ForSequenceClassification", id2label={0: "a", 1: "b", 2: "c"}) as (server, folder):
        instances = [{"text": text} if other is None else {"text": text, "text_pair": other} for text, other in pairs]
        found = predict(server, instances)
        answer = server.post("/v1/classify", input=instances).json()
    assert [item["labels"] for item in answer["data"]] == found
    for (text, other), labels in zip(pairs, found, strict=True):
        scores = logits_of(folder, text, other).softmax(0).tolist()
        assert {label["label"]: label["score"] for label in labels} == {
            name: close(score) for name, score in zip("abc", scores, strict=True)
        }


def logits_of(folder: Path, text: str, other: str | None) -> torch.Tensor:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.inference_mode():
        return model(**tokenizer(text, other, return_tensors="pt")).logits[0]


def test_relevance_equals_the_model_and_orders_the_documents(tmp_path: Path, family: str) -> None:
    with serving(tmp_path, family, "ForSequenceClassification", num_labels=1) as (server, folder):
        answer = server.post("/v1/rerank", query="angry bears", documents=TEXTS, return_documents=True).json()
        (ranking,) = predict(server, [{"query": "angry bears", "documents": TEXTS}])
    expected = [float(logits_of(folder, "angry bears", text).sigmoid()) for text in TEXTS]
    order = sorted(range(len(TEXTS)), key=lambda index: -expected[index])
    assert ranking == [{"index": index, "relevance_score": close(expected[index])} for index in order]
    assert answer["results"] == [{**entry, "document": {"text": TEXTS[entry["index"]]}} for entry in ranking]


def test_labels_of_no_training_equal_the_pipeline(tmp_path: Path, family: str) -> None:
    labels = ["a fox", "capitals", "servers"]
    with serving(tmp_path, family, "ForSequenceClassification", id2label=NLI) as (server, folder):
        reference = pipeline("zero-shot-classification", model=folder)
        for multi_label in (False, True):
            instances = [
                {"text": TEXTS[0], "candidate_labels": labels, "multi_label": multi_label},
                {"text": "Paris", "candidate_labels": labels[:1], "hypothesis_template": "It is {}!"},
            ]
            first, second = predict(server, instances)
            expected = reference(TEXTS[0], labels, multi_label=multi_label)
            assert [label["label"] for label in first] == expected["labels"]
            assert [label["score"] for label in first] == [close(score) for score in expected["scores"]]
            alone = reference("Paris", labels[:1], hypothesis_template="It is {}!")
            assert second == [{"label": labels[0], "score": close(alone["scores"][0])}]


def test_answers_equal_a_search_of_every_stretch_in_every_window(tmp_path: Path, family: str) -> None:
    with serving(tmp_path, family, "ForQuestionAnswering") as (server, folder):
        instances = [
            {"question": QUESTIONS[0], "context": CONTEXT * 3},
            {"question": QUESTIONS[1], "context": "A server in Zürich answers."},
        ]
        found = predict(server, instances, top_k=3, max_answer_tokens=6)
    for instance, answers in zip(instances, found, strict=True):
        assert answers == search_answers(folder, instance["question"], instance["context"], 3, 6)


def search_answers(folder: Path, question: str, context: str, top_k: int, longest: int) -> list[dict[str, Any]]:
    """Cut with transformers' own windows, then try every stretch."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForQuestionAnswering.from_pretrained(folder)
    around = sum(part != 1 for part in tokenizer(question, context).sequence_ids(0))
    options = {"truncation": "only_second", "max_length": LONGEST, "stride": (LONGEST - around) // 2}
    cut = tokenizer(question, context, return_overflowing_tokens=True, return_offsets_mapping=True, **options)
    best: dict[tuple[int, int], float] = {}
    for window, offsets in enumerate(cut["offset_mapping"]):
        inputs = {name: torch.tensor([cut[name][window]]) for name in tokenizer.model_input_names}
        with torch.inference_mode():
            output = model(**inputs)
        inside = [place for place, part in enumerate(cut.sequence_ids(window)) if part == 1]
        start, end = output.start_logits[0, inside].softmax(0), output.end_logits[0, inside].softmax(0)
        words = [cut.word_ids(window)[place] for place in inside]
        whole = [
            tuple(cut.word_to_chars(window, word, 1)) if word is not None else offsets[place]
            for place, word in zip(inside, words, strict=True)
        ]
        for first in range(len(inside)):
            for last in range(first, min(first + longest, len(inside))):
                place = (whole[first][0], whole[last][1])
                best[place] = max(best.get(place, 0.0), float(start[first] * end[last]))
    ranked = sorted(best.items(), key=lambda item: -item[1])[:top_k]
    return [
        {"text": context[start:end], "score": close(score), "start": start, "end": end}
        for (start, end), score in ranked
    ]


def test_vectors_and_cosines_equal_the_mean_of_the_model(tmp_path: Path, family: str) -> None:
    with serving(tmp_path, family, "Model") as (server, folder):
        data = server.post("/v1/embeddings", input=TEXTS).json()["data"]
        similarity = server.post("/v1/similarity", source_sentence=TEXTS[0], sentences=TEXTS[1:]).json()
        ranking = server.post("/v1/rerank", query=TEXTS[0], documents=TEXTS[1:], top_n=1).json()
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    with torch.inference_mode():
        rows = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0) for text in TEXTS]
    expected = torch.nn.functional.normalize(torch.stack(rows), dim=1)
    found = torch.tensor([item["embedding"] for item in data])
    torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0)
    cosines = (expected[1:] @ expected[0]).tolist()
    assert [item["score"] for item in similarity["data"]] == [close(cosine) for cosine in cosines]
    best = max(range(2), key=cosines.__getitem__)
    assert ranking["results"] == [{"index": best, "relevance_score": close(cosines[best])}]
