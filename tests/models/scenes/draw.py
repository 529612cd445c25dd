"""Draws a scene: one to three coloured shapes, apart from each other, on an uneven grey ground.

A scene follows from its seed alone. Seeds in `HELD_OUT` are for measuring and are never trained on; training takes its
seeds from `TRAINING` on.
"""

import random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIZE = 96
SHAPES = ("circle", "square", "triangle")
COLOURS = {"red": (214, 48, 49), "green": (46, 160, 67), "blue": (52, 101, 220), "yellow": (240, 200, 40)}
HELD_OUT = range(10_000)
TRAINING = 10_000
SMALLEST, LARGEST = 20, 38
GAP = 3
FINENESS = 4  # a scene is drawn this many times larger and scaled down, so that its edges are smooth

Box = tuple[int, int, int, int]


class SceneObject(NamedTuple):
    """A shape, its colour, and its box (left, top, right, bottom) in pixels, right and bottom exclusive."""

    shape: str
    colour: str
    box: Box


def draw_scene(seed: int, count: int | None = None) -> tuple[NDArray[np.uint8], list[SceneObject], NDArray[np.uint8]]:
    """Return the image [SIZE, SIZE, 3], its objects, and a mask [SIZE, SIZE]: 0 ground, else 1 + index in SHAPES.

    `count` is the number of objects, at most 4; without it the seed chooses 1 to 3.
    """
    choose = random.Random(seed)
    boxes = _place(choose, count or choose.randint(1, 3))
    objects = [SceneObject(choose.choice(SHAPES), choose.choice(tuple(COLOURS)), box) for box in boxes]
    large = SIZE * FINENESS
    image, mask = Image.fromarray(_ground(choose)).resize((large, large)), Image.new("L", (large, large))
    for each in objects:
        _draw(image, each, _tint(choose, COLOURS[each.colour]))
        _draw(mask, each, 1 + SHAPES.index(each.shape))
    pixels = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BOX)).astype(np.int16)
    noise = np.random.default_rng(seed).normal(0, 4, pixels.shape).round().astype(np.int16)
    return (
        np.clip(pixels + noise, 0, 255).astype(np.uint8),
        objects,
        np.asarray(mask.resize((SIZE, SIZE), Image.Resampling.NEAREST)),
    )


def _place(choose: random.Random, count: int) -> list[Box]:
    """Choose boxes that keep a gap between each other; start again when no room is left."""
    boxes: list[Box] = []
    for _ in range(100 * count):
        side = choose.randint(SMALLEST, LARGEST)
        left, top = choose.randint(1, SIZE - side - 1), choose.randint(1, SIZE - side - 1)
        box = (left, top, left + side, top + side)
        if all(_apart(box, other) for other in boxes):
            boxes.append(box)
        if len(boxes) == count:
            return boxes
    return _place(choose, count)


def _apart(one: Box, other: Box) -> bool:
    return one[2] + GAP <= other[0] or other[2] + GAP <= one[0] or one[3] + GAP <= other[1] or other[3] + GAP <= one[1]


def _ground(choose: random.Random) -> NDArray[np.uint8]:
    """Return grey levels at the four corners, which scaling up turns into a gradient."""
    base = choose.randint(40, 215)
    levels = [base + choose.randint(-25, 25) for _ in range(4)]
    return np.repeat(np.array(levels, np.uint8).reshape(2, 2, 1), 3, axis=2)


def _tint(choose: random.Random, colour: tuple[int, int, int]) -> tuple[int, int, int]:
    red, green, blue = (max(0, min(255, part + choose.randint(-18, 18))) for part in colour)
    return red, green, blue


def _draw(canvas: Image.Image, each: SceneObject, ink: tuple[int, int, int] | int) -> None:
    left, top, right, bottom = (edge * FINENESS for edge in each.box)
    box = (left, top, right - 1, bottom - 1)
    pen = ImageDraw.Draw(canvas)
    if each.shape == "circle":
        pen.ellipse(box, fill=ink)
    elif each.shape == "square":
        pen.rectangle(box, fill=ink)
    else:
        pen.polygon([((left + right) / 2, top), (right - 1, bottom - 1), (left, bottom - 1)], fill=ink)
