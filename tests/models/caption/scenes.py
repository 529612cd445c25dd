"""Scenes of two or three coloured shapes: what demo-scene learns to describe.

The shapes stand in a row or in a column, so that the relation of neighbours is never in doubt, and no two are alike;
the scenes of `tests.models.scenes`, which are for finding things, promise neither. A scene follows from its seed alone:
seeds in `HELD_OUT` are for measuring, those of the training are larger.
"""

import random
from dataclasses import dataclass

SHAPES = ("circle", "square", "triangle")
COLOURS = {
    "red": (214, 40, 40),
    "green": (40, 160, 70),
    "blue": (40, 80, 210),
    "yellow": (240, 210, 50),
    "purple": (140, 60, 170),
    "orange": (245, 135, 30),
}
HELD_OUT = range(10_000)


@dataclass(frozen=True)
class Thing:
    """A shape; centre and radius as shares of the picture's side."""

    colour: str
    shape: str
    x: float
    y: float
    radius: float

    @property
    def name(self) -> str:
        """The thing as captions call it."""
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """Two or three things; in a row from left to right, or in a column from top to bottom."""

    things: tuple[Thing, ...]
    is_row: bool
    background: tuple[int, int, int]
    seed: int

    @property
    def caption(self) -> str:
        """What the picture shows, in reading order."""
        relation = " left of " if self.is_row else " above "
        return relation.join(f"{article(thing.name)} {thing.name}" for thing in self.things)


def article(word: str) -> str:
    """Return the indefinite article of a word."""
    return "an" if word[0] in "aeiou" else "a"


def make_scene(seed: int) -> Scene:
    """Return the scene of a seed."""
    choose = random.Random(seed)
    count, is_row = choose.choice((2, 3)), choose.random() < 0.5
    kinds = choose.sample([(colour, shape) for colour in COLOURS for shape in SHAPES], count)
    shade = choose.choice((choose.randint(0, 40), choose.randint(205, 255)))
    background = (shade, shade, shade)
    return Scene(tuple(_place(kinds, choose, is_row=is_row)), is_row, background, seed)


def _place(kinds: list[tuple[str, str]], choose: random.Random, *, is_row: bool) -> list[Thing]:
    """Give each kind a place of its own along the axis, and a free one across it."""
    share, things = 1 / len(kinds), []
    middle = choose.uniform(0.25, 0.75)
    for index, (colour, shape) in enumerate(kinds):
        radius = choose.uniform(0.125, 0.15)
        slack = share / 2 - radius
        along = (index + 0.5) * share + choose.uniform(-slack, slack)
        across = min(max(middle + choose.uniform(-0.1, 0.1), radius), 1 - radius)
        x, y = (along, across) if is_row else (across, along)
        things.append(Thing(colour, shape, x, y, radius))
    return things
