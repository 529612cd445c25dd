"""Each kind of result is told in a way of its own."""

import base64
from typing import Any

import pytest

from modelservice_operator.cli.answers import picture_in, tell
from modelservice_operator.cli.asking import Given

GIVEN = Given(("Ada lives in Turin",), documents=("bread", "trains"))


@pytest.mark.parametrize(
    ("gives", "prediction", "line"),
    [
        ("labels", [{"label": "joy", "score": 0.913}], " 91.3 %  joy"),
        ("entities", [{"label": "PER", "score": 0.5, "start": 0, "end": 3}], " 50.0 %  PER: Ada"),
        ("entities", [], "nothing was found in this text"),
        ("fills", [[{"token": "capital", "score": 1.0, "sequence": "the capital"}]], "100.0 %  capital: the capital"),
        ("answers", [{"answer": "Turin", "score": 0.25}], " 25.0 %  Turin"),
        ("answers", [{"answer": "", "score": 0.25}], " 25.0 %  (the text does not hold an answer)"),
        ("ranking", [{"index": 1, "relevance_score": 3.5}], "  3.500  trains"),
        ("vector", [0.5] * 9, f"9 numbers: {', '.join(['0.5000'] * 8)}, ..."),
        ("boxes", [{"label": "cat", "score": 0.5, "box": {"xmin": 1.2, "ymin": 2}}], " 50.0 %  cat at xmin 1, ymin 2"),
        ("masks", [{"label": "sky", "score": None, "mask": ""}], "      -  sky"),
        ("transcript", {"text": " hello "}, "hello"),
        ("smell", {"rose": 1}, '{\n  "rose": 1\n}'),
    ],
)
def test_prediction_reads_well(gives: str, prediction: Any, line: str) -> None:
    assert tell(gives, prediction, GIVEN) == [line]


def test_picture_is_taken_out_of_its_answer() -> None:
    prediction = {"image": base64.b64encode(b"png").decode(), "seed": 7}
    assert picture_in("picture", prediction) == b"png"
    assert tell("picture", prediction, GIVEN) == ["drawn from seed 7"]
    assert picture_in("labels", []) is None
