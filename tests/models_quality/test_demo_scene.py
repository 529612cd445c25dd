"""demo-scene keeps the quality that its card states, measured through the chat endpoint."""

import re

import pytest

from tests.models import build_model
from tests.models.caption.evaluate import measure_folder
from tests.models.caption.judge import is_right
from tests.models.caption.scenes import Scene, Thing
from tests.models.caption.write import CARD, WEIGHTS

SCENES = 200
LEAST = 0.85


@pytest.mark.torch
def test_captions_state_the_right_things_and_relations_in_held_out_scenes() -> None:
    match = re.search(r"([\d.]+) % right captions .*? and ([\d.]+) % right answers", CARD.read_text(), re.DOTALL)
    assert match, "the card states no figures"
    score = measure_folder(build_model("demo-scene"), SCENES)
    assert score.captions >= LEAST
    assert score.captions == pytest.approx(float(match[1]) / 100, abs=0.06)
    assert score.answers == pytest.approx(float(match[2]) / 100, abs=0.06)


def test_committed_weights_stay_small() -> None:
    assert WEIGHTS.stat().st_size <= 3_000_000


@pytest.mark.parametrize(
    ("caption", "right"),
    [
        ("a red circle left of a blue square", True),
        ("a blue square right of a red circle", True),
        ("a blue square left of a red circle", False),
        ("a red circle above a blue square", False),
        ("a red square left of a blue circle", False),
        ("a red circle left of a blue square left of a red circle", False),
        ("a red circle", False),
        ("", False),
    ],
)
def test_caption_is_judged_by_what_was_drawn(caption: str, right: bool) -> None:
    things = (Thing("red", "circle", 0.2, 0.5, 0.1), Thing("blue", "square", 0.7, 0.4, 0.1))
    assert is_right(caption, Scene(things, True, (0, 0, 0), 1)) == right
