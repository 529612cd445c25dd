"""demo-ner finds entities with names that it never saw, as well as its card states, through HTTP."""

import re

import pytest

from tests.models import build_model
from tests.models.ner.corpus import Mention, compose, is_held_out
from tests.models.ner.evaluate import entity_f1, held_out
from tests.models.ner.merge import CARD, WEIGHTS
from tests.runtime.support.server import running

pytestmark = pytest.mark.torch

TARGET = 0.85


def stated_f1() -> float:
    match = re.search(r"entity F1 ([\d.]+)", CARD.read_text(encoding="utf-8"))
    assert match, "the card states no F1"
    return float(match[1])


def test_entities_are_found_as_the_card_states_when_names_and_sentences_are_new() -> None:
    sentences = held_out()
    with running(build_model("demo-ner"), name="demo-ner") as server:
        texts = [sentence.text for sentence in sentences]
        body = {"model": "demo-ner", "input": texts, "aggregation_strategy": "average"}
        answer = server.post("/v1/classify", **body).json()
    found = [
        {Mention(entity["label"], entity["start"], entity["end"]) for entity in item["entities"]}
        for item in answer["data"]
    ]
    f1 = entity_f1(found, sentences)
    assert f1 == pytest.approx(stated_f1(), abs=0.01)
    assert f1 >= TARGET


def test_names_of_the_held_out_sentences_are_never_trained_on() -> None:
    persons = [
        sentence.text[mention.start : mention.end]
        for sentence in held_out()
        for mention in sentence.mentions
        if mention.label == "PER"
    ]
    plain = [name for name in persons if len(name.split(" ")) <= 2 and "." not in name and "-" not in name]
    assert len(plain) > len(persons) / 2
    assert all(is_held_out(name) or all(map(is_held_out, name.split(" "))) for name in plain)
    trained_on = {
        sentence.text[mention.start : mention.end] for sentence in compose(1500, 3) for mention in sentence.mentions
    }
    assert not trained_on & set(persons)


def test_held_out_sentences_are_all_different_and_hold_every_kind() -> None:
    sentences = held_out()
    assert len({sentence.text for sentence in sentences}) > 0.85 * len(sentences)
    assert {mention.label for sentence in sentences for mention in sentence.mentions} == {"PER", "ORG", "LOC", "DATE"}


def test_committed_weights_stay_small() -> None:
    assert WEIGHTS.stat().st_size <= 1_500_000
