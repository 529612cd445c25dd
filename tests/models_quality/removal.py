"""Whether an explanation points at what decides: without what it names the answer must change more than by chance."""

import base64
import math
import random
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

SHARE = 0.2


def strongest(scores: Sequence[float]) -> list[int]:
    """The indices of the fifth with the largest scores."""
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    return order[: _fifth(len(scores))]


def by_chance(parts: int, draws: int, seed: int) -> list[list[int]]:
    """As many indices, drawn at random, several times."""
    generator = random.Random(seed)
    return [generator.sample(range(parts), _fifth(parts)) for _ in range(draws)]


def _fifth(parts: int) -> int:
    return max(1, math.ceil(SHARE * parts))


def without(text: str, tokens: Sequence[dict[str, Any]], removed: Sequence[int]) -> str:
    """A text without some of its tokens."""
    gone = {place for index in removed for place in range(tokens[index]["start"], tokens[index]["end"])}
    return " ".join("".join(letter for place, letter in enumerate(text) if place not in gone).split()) or "."


def erased(picture: Any, removed: Sequence[int]) -> Any:
    """A picture [height, width] with some of its pixels made paper, which is 0."""
    left = picture.copy()
    left.reshape(-1)[list(removed)] = 0
    return left


def pixel_scores(heat_map: str) -> list[float]:
    """What each pixel added, as the heat map shows it: orange for the label, blue against it."""
    heat = np.asarray(Image.open(BytesIO(base64.b64decode(heat_map))), dtype=np.int16)
    sign = np.where(heat[..., 0] >= heat[..., 2], 1, -1)
    return [float(score) for score in (sign * heat[..., 3]).reshape(-1)]


def to_url(picture: Any) -> str:
    """A picture as a data URL."""
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
