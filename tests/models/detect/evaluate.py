"""Measures a detector on held-out scenes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from transformers import pipeline

from tests.models.detect.average_precision import Found, Real, average_precision
from tests.models.scenes import HELD_OUT, draw_scene

SCENES = HELD_OUT[:200]
THRESHOLD = 0.05

Predict = Callable[[Sequence[Image.Image]], Sequence[Sequence[Mapping[str, Any]]]]


def ap50(predict: Predict) -> float:
    """Return AP50 of `predict`, which returns objects as the server and transformers' pipeline write them."""
    scenes = [draw_scene(seed) for seed in SCENES]
    found = predict([Image.fromarray(image) for image, _, _ in scenes])
    return average_precision(
        [[Found(each["label"], each["score"], _box(each["box"])) for each in objects] for objects in found],
        [[Real(each.shape, each.box) for each in objects] for _, objects, _ in scenes],
    )


def measure(folder: Path) -> float:
    """Return AP50 of the model in a folder, by transformers' own pipeline."""
    detect = pipeline("object-detection", model=str(folder))
    return ap50(lambda images: [detect(image, threshold=THRESHOLD) for image in images])


def _box(box: Mapping[str, float]) -> tuple[float, float, float, float]:
    return box["xmin"], box["ymin"], box["xmax"], box["ymax"]
