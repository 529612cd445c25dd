"""Measures the share of held-out digits that are told rightly."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from transformers import pipeline

from tests.models.digits.data import held_out_digits

Predict = Callable[[Sequence[Image.Image]], Sequence[str]]


def accuracy(predict: Predict) -> float:
    """Return the share of held-out digits whose label `predict` tells."""
    images, labels = held_out_digits()
    found = predict([Image.fromarray(image) for image in images])
    return float(np.mean([name == str(label) for name, label in zip(found, labels, strict=True)]))


def measure(folder: Path) -> float:
    """Return the accuracy of the model in a folder, by transformers' own pipeline."""
    classify = pipeline("image-classification", model=str(folder))
    return accuracy(lambda images: [classify(image)[0]["label"] for image in images])
