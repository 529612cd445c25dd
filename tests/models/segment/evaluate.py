"""Measures a segmenter on held-out scenes by the mean over the classes of intersection over union."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from transformers import pipeline

from tests.models.scenes import HELD_OUT, SHAPES, SIZE, draw_scene

SCENES = HELD_OUT[:100]
CLASSES = ("ground", *SHAPES)

Predict = Callable[[Sequence[Image.Image]], Sequence[Sequence[Mapping[str, Any]]]]


def mean_iou(predict: Predict) -> float:
    """Return the mean IoU of `predict`, which returns segments (`label`, `mask` as an image) for each scene."""
    scenes = [draw_scene(seed) for seed in SCENES]
    found = np.stack([_to_map(each) for each in predict([Image.fromarray(image) for image, _, _ in scenes])])
    real = np.stack([mask for _, _, mask in scenes])
    return float(
        np.mean(
            [
                np.sum((found == index) & (real == index)) / np.sum((found == index) | (real == index))
                for index in range(len(CLASSES))
            ]
        )
    )


def measure(folder: Path) -> float:
    """Return the mean IoU of the model in a folder, by transformers' own pipeline."""
    segment = pipeline("image-segmentation", model=str(folder))
    return mean_iou(lambda images: [segment(image) for image in images])


def _to_map(segments: Sequence[Mapping[str, Any]]) -> NDArray[np.uint8]:
    """Return the class of each pixel; 255 where no segment has it."""
    classes = np.full((SIZE, SIZE), 255, np.uint8)
    for segment in segments:
        classes[np.asarray(segment["mask"]) > 0] = CLASSES.index(segment["label"])
    return classes
