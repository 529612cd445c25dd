"""Judges captions and answers against the scene that was drawn.

A caption is right when it names every thing with its colour and shape, no other thing, and states relations between
neighbours that hold; in which order it goes through the picture is its own choice.
"""

import re

from tests.models.caption.scenes import Scene

RELATIONS = ("left of", "right of", "above", "below")
SPLIT = re.compile(f" ({'|'.join(RELATIONS)}) ")


def is_right(caption: str, scene: Scene) -> bool:
    """Tell whether a caption states the things of a scene and their relations."""
    pieces = SPLIT.split(caption.strip().rstrip("."))
    names = [re.sub(r"^(an?|the) ", "", name) for name in pieces[::2]]
    places = {thing.name: (thing.x, thing.y) for thing in scene.things}
    if sorted(names) != sorted(places):
        return False
    pairs = zip(names, pieces[1::2], names[1:], strict=False)
    return all(_holds(places[first], relation, places[second]) for first, relation, second in pairs)


def _holds(first: tuple[float, float], relation: str, second: tuple[float, float]) -> bool:
    along, across = second[0] - first[0], second[1] - first[1]
    distance, aside = (along, across) if relation in ("left of", "right of") else (across, along)
    if relation in ("right of", "below"):
        distance = -distance
    return distance > 0 and distance > abs(aside) / 2
