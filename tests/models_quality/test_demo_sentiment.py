"""demo-sentiment keeps the quality that its card states, and the committed weights stay small."""

import re
from pathlib import Path

import pytest

from tests.models import build_model
from tests.models.sentiment.evaluate import accuracy, held_out
from tests.models.sentiment.merge import CARD, WEIGHTS

pytestmark = pytest.mark.torch

ROOT = Path(__file__).resolve().parents[2]


def stated_accuracy() -> float:
    match = re.search(r"([\d.]+) % accuracy", CARD.read_text(encoding="utf-8"))
    assert match, "the card states no accuracy"
    return float(match[1]) / 100


def test_accuracy_on_held_out_sentences_is_what_the_card_states() -> None:
    assert accuracy(build_model("demo-sentiment"), held_out()) == pytest.approx(stated_accuracy(), abs=0.013)


def test_held_out_sentences_are_balanced_and_all_different() -> None:
    examples = held_out()
    assert len({example.text for example in examples}) == len(examples)
    assert sum(example.label for example in examples) * 2 == len(examples)


def test_committed_weights_stay_small() -> None:
    weights = [path for path in ROOT.rglob("*.safetensors") if not path.is_relative_to(ROOT / ".git")]
    assert WEIGHTS in weights
    assert sum(path.stat().st_size for path in weights) < 20_000_000
