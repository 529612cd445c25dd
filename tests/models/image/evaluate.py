"""Measures whether the pictures of demo-image show what their captions say.

A support vector machine trained on scikit-learn's real digits looks at the pictures, shrunk to the 8 by 8 pixels that
it knows. On real digits that it has not seen, from other writers, it is right in about 94 of 100 cases.
"""

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from numpy.typing import NDArray
from PIL import Image
from sklearn.svm import SVC

from tests.models.image.captions import HELD_OUT, TEMPLATES, WORDS
from tests.models.image.pictures import SMALL, TRAINED, load_pictures

COUNT = 100
STEPS = 10


def prompts(count: int, *, held_out: bool) -> list[tuple[str, int]]:
    """Return captions and their digits, evenly over the digits; of templates that were trained on, or of others."""
    choose = random.Random(5)
    templates = HELD_OUT if held_out else TEMPLATES
    digits = [index % 10 for index in range(count)]
    return [(choose.choice(templates).format(choose.choice((WORDS[digit], str(digit)))), digit) for digit in digits]


def recognise(pictures: Sequence[Image.Image]) -> list[int]:
    """Return the digit that the reference classifier sees in each picture."""
    rows = np.stack([_shrink(picture) for picture in pictures])
    return [int(digit) for digit in _classifier().predict(rows)]


def recognised(folder: Path, *, held_out: bool) -> float:
    """Return the share of pictures, made by the plain pipeline of diffusers, that show what was asked for."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    asked = prompts(COUNT, held_out=held_out)
    generators = [torch.Generator().manual_seed(seed) for seed in range(COUNT)]
    pictures = pipeline([text for text, _ in asked], num_inference_steps=STEPS, generator=generators).images
    return accuracy(pictures, [digit for _, digit in asked])


def accuracy(pictures: Sequence[Image.Image], digits: Sequence[int]) -> float:
    """Return the share of pictures in which the classifier sees the digit that was asked for."""
    seen = recognise(pictures)
    return sum(one == other for one, other in zip(seen, digits, strict=True)) / len(digits)


@cache
def _classifier() -> Any:
    digits, targets = load_pictures()
    return SVC(gamma="scale").fit(digits[:TRAINED].reshape(TRAINED, -1), targets[:TRAINED])


def _shrink(picture: Image.Image) -> NDArray[np.float32]:
    small = picture.convert("L").resize((SMALL, SMALL), Image.Resampling.BOX)
    return (np.asarray(small, dtype=np.float32) / 255).reshape(-1)
