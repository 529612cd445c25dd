"""demo-sentiment keeps the quality that its card states, and the committed weights stay small."""

import re
from pathlib import Path

import pytest

from tests.demo import measures
from tests.models import build_model
from tests.models.build import package_store
from tests.models.sentiment.evaluate import accuracy, held_out_written
from tests.models.sentiment.merge import CARD, WEIGHTS
from tests.models.sentiment.reviews import PRODUCTS, Rated, read_reviews, split
from tests.runtime.support.server import running

pytestmark = pytest.mark.torch

ROOT = Path(__file__).resolve().parents[2]
LEAST_ACCURACY = 0.90


def stated(pattern: str) -> float:
    match = re.search(rf"([\d.]+) % {pattern}", " ".join(CARD.read_text(encoding="utf-8").split()))
    assert match, f"the card states no figure {pattern}"
    return float(match[1]) / 100


def test_accuracy_on_held_out_reviews_is_what_the_card_states() -> None:
    with running(build_model("demo-sentiment")) as server:
        measured = measures.sentiment(f"http://127.0.0.1:{server.port}", "tiny")
    print(f"demo-sentiment: {measured:.4f} on held-out reviews")
    assert measured >= LEAST_ACCURACY
    assert measured == pytest.approx(stated("accuracy"), abs=0.005)


def test_accuracy_on_sentences_written_by_hand_is_what_the_card_states() -> None:
    measured = accuracy(build_model("demo-sentiment"), held_out_written())
    assert measured == pytest.approx(stated("on 160 plain"), abs=0.013)


def test_held_out_reviews_are_balanced_and_in_no_other_part() -> None:
    reviews = read_reviews(package_store())
    held_out = {example.text for example in reviews.held_out}
    assert len(held_out) == len(reviews.held_out) > 600
    assert sum(example.label for example in reviews.held_out) * 2 == len(held_out)
    assert not held_out & {example.text for example in reviews.training + reviews.validation}


def test_sentences_of_a_product_review_share_their_part() -> None:
    of_a_review = [
        Rated(PRODUCTS, f"{PRODUCTS} {document}", (-1) ** number * 2.0, f"sentence {number} of {document}")
        for document in range(40)
        for number in range(4)
    ]
    reviews = split(of_a_review)
    documents = [
        {example.text.rpartition(" ")[2] for example in part}
        for part in (reviews.training, reviews.validation, reviews.held_out)
    ]
    assert all(documents)
    assert len(set.union(*documents)) == sum(map(len, documents))


def test_held_out_sentences_are_balanced_and_all_different() -> None:
    examples = held_out_written()
    assert len({example.text for example in examples}) == len(examples)
    assert sum(example.label for example in examples) * 2 == len(examples)


def test_committed_weights_stay_small() -> None:
    weights = [path for path in ROOT.rglob("*.safetensors") if not path.is_relative_to(ROOT / ".git")]
    assert WEIGHTS in weights
    assert sum(path.stat().st_size for path in weights) < 20_000_000
