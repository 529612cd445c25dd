"""Average precision of a detector at an overlap of one half (AP50), as PASCAL VOC and COCO define it.

For each class the detections of all images are gone through by falling score. One is right when it overlaps, by at
least one half (intersection over union), an object of its class and image that no better detection has taken. AP is the
area under the curve of precision over recall, where the precision at a recall is the best at that recall or a higher
one; AP50 is the mean over the classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

OVERLAP = 0.5

Box = tuple[float, float, float, float]


class Found(NamedTuple):
    """A detection; the box is left, top, right, bottom."""

    label: str
    score: float
    box: Box


class Real(NamedTuple):
    """An object that is in an image."""

    label: str
    box: Box


def average_precision(found: Sequence[Sequence[Found]], real: Sequence[Sequence[Real]]) -> float:
    """Return AP50 of the detections, one list an image, for the objects in the same images."""
    labels = sorted({each.label for objects in real for each in objects})
    return float(np.mean([_precision_of_class(label, found, real) for label in labels]))


def _precision_of_class(label: str, found: Sequence[Sequence[Found]], real: Sequence[Sequence[Real]]) -> float:
    left = [[each.box for each in objects if each.label == label] for objects in real]
    total = sum(map(len, left))
    detections = [
        (each.score, image, each.box) for image, row in enumerate(found) for each in row if each.label == label
    ]
    hits = [_take(left[image], box) for _, image, box in sorted(detections, key=lambda each: -each[0])]
    right = np.cumsum(hits)
    precision = right / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(best * np.array(hits, bool)) / total) if hits else 0.0


def _take(left: list[Box], box: Box) -> bool:
    """Remove the object that the box overlaps most, if by enough."""
    best = max(left, key=lambda other: overlap(box, other), default=None)
    if best is None or overlap(box, best) < OVERLAP:
        return False
    left.remove(best)
    return True


def overlap(one: Box, other: Box) -> float:
    """Return the intersection of two boxes over their union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (areas - width * height)
