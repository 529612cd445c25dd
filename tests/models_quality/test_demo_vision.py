"""The demo models that look at pictures keep, through HTTP, the figures that their cards state."""

import base64
import re
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from tests.models import build_model, detect, digits, segment
from tests.models.committed import Committed
from tests.models.detect.average_precision import Found, Real, average_precision
from tests.models.detect.evaluate import THRESHOLD, ap50
from tests.models.digits.evaluate import accuracy
from tests.models.segment.evaluate import mean_iou
from tests.runtime.support.server import RunningServer, running

BATCH = 64


def to_base64(image: Image.Image) -> str:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def predict(server: RunningServer, images: Sequence[Image.Image], **parameters: Any) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(images), BATCH):
        body = {"instances": [to_base64(each) for each in images[start : start + BATCH]], "parameters": parameters}
        answer = server.http.post("/v1/models/tiny:predict", json=body)
        assert answer.status_code == 200, answer.text
        found += answer.json()["predictions"]
    return found


def stated(model: Committed) -> Any:
    match = re.search(r"Measured\*\*: [^\d]*(?:AP50 of )?([\d.]+) %", model.card.read_text(encoding="utf-8"))
    assert match, "the card states no figure"
    return pytest.approx(float(match[1]) / 100, abs=0.01)


@pytest.mark.torch
def test_digits_are_told_as_the_card_states() -> None:
    with running(build_model("demo-digits")) as server:
        measured = accuracy(lambda images: [labels[0]["label"] for labels in predict(server, images)])
    assert measured >= 0.95
    assert measured == stated(digits.MODEL)


@pytest.mark.torch
def test_shapes_are_found_as_the_card_states() -> None:
    with running(build_model("demo-detect")) as server:
        measured = ap50(lambda images: predict(server, images, threshold=THRESHOLD))
    assert measured >= 0.6
    assert measured == stated(detect.MODEL)


@pytest.mark.torch
def test_scenes_are_segmented_as_the_card_states() -> None:
    with running(build_model("demo-segment")) as server:

        def masks(images: Sequence[Image.Image]) -> list[list[dict[str, Any]]]:
            return [
                [each | {"mask": Image.open(BytesIO(base64.b64decode(each["mask"])))} for each in segments]
                for segments in predict(server, images)
            ]

        measured = mean_iou(masks)
    assert measured >= 0.7
    assert measured == stated(segment.MODEL)


def test_average_precision_is_that_of_the_definition() -> None:
    box, shifted, far = (0, 0, 10, 10), (0, 0, 10, 6), (50, 50, 60, 60)
    real = [[Real("a", box)], [Real("a", box), Real("a", far)]]
    assert average_precision([[Found("a", 0.9, box)], [Found("a", 0.8, shifted), Found("a", 0.7, far)]], real) == 1
    assert average_precision([[], []], real) == 0
    twice = [[Found("a", 0.9, box), Found("a", 0.8, box)], [Found("a", 0.7, far)]]
    assert average_precision(twice, real) == pytest.approx((1 + 2 / 3) / 3)
    assert average_precision([[Found("b", 0.9, box)], []], real) == 0
    mixed = [[Real("a", box)], [Real("b", box)]]
    assert average_precision([[Found("a", 0.5, box)], []], mixed) == pytest.approx(0.5)
