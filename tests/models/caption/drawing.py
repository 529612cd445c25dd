"""Draws the scenes."""

import random

from PIL import Image, ImageDraw

from tests.models.caption.scenes import COLOURS, Scene

SIZE = 96
JITTER = 16
OVERSAMPLING = 2


def draw(scene: Scene, size: int = SIZE) -> Image.Image:
    """Return the picture of a scene, `size` pixels square, its edges smoothed."""
    choose = random.Random(scene.seed + 1)
    whole = size * OVERSAMPLING
    image = Image.new("RGB", (whole, whole), scene.background)
    pen = ImageDraw.Draw(image)
    for thing in scene.things:
        colour = tuple(min(255, max(0, part + choose.randint(-JITTER, JITTER))) for part in COLOURS[thing.colour])
        x, y, radius = thing.x * whole, thing.y * whole, thing.radius * whole
        if thing.shape == "circle":
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        elif thing.shape == "square":
            side = radius * 0.9
            pen.rectangle((x - side, y - side, x + side, y + side), fill=colour)
        else:
            pen.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=colour)
    return image.resize((size, size), Image.Resampling.BOX)
