"""What is asked about a scene, and the answers: captions above all, and questions that make the model look closely."""

import random
from collections.abc import Callable, Iterator

from tests.models.caption.scenes import COLOURS, SHAPES, Scene, Thing, article

CAPTION_QUESTIONS = (
    "",
    "describe the picture",
    "describe this image",
    "what is in the picture",
    "what is in this image",
    "what do you see",
    "what does the picture show",
    "caption",
)
COUNT_QUESTIONS = ("how many shapes are there", "how many shapes do you see")
COLOUR_QUESTIONS = ("what color is the {}", "what colour is the {}")
SHAPE_QUESTIONS = ("what shape is {}", "which shape is {}")
PRESENCE_QUESTIONS = ("is there {}", "do you see {}")
PLACE_QUESTION = "what is {} the {}"
NUMBERS = {2: "two", 3: "three"}
NOTHING = "nothing"
Turn = tuple[str, str]


def converse(scene: Scene, choose: random.Random, turns: int) -> list[Turn]:
    """Return questions and answers in random order, the caption among them."""
    makers: tuple[Callable[[Scene, random.Random], Turn], ...] = (_count, _colour, _shape, _presence, _place, _place)
    chosen = [make(scene, choose) for make in choose.sample(makers, turns - 1)]
    chosen.append((choose.choice(CAPTION_QUESTIONS), scene.caption))
    choose.shuffle(chosen)
    return chosen


def vocabulary() -> list[str]:
    """Return every word of questions and answers, sorted."""
    return sorted({word for text in _all_texts() for word in text.split()})


def _all_texts() -> Iterator[str]:
    yield from (*CAPTION_QUESTIONS, *COUNT_QUESTIONS, *SHAPES, *COLOURS, *NUMBERS.values())
    for question in (*COLOUR_QUESTIONS, *SHAPE_QUESTIONS, *PRESENCE_QUESTIONS, PLACE_QUESTION):
        yield question.replace("{}", "")
    yield f"a an left of right of above below {NOTHING} yes no"


def _count(scene: Scene, choose: random.Random) -> Turn:
    return choose.choice(COUNT_QUESTIONS), NUMBERS[len(scene.things)]


def _colour(scene: Scene, choose: random.Random) -> Turn:
    """Ask for the colour of a shape that is there once; fall back on counting when none is."""
    shapes = [thing.shape for thing in scene.things]
    single = [thing for thing in scene.things if shapes.count(thing.shape) == 1]
    if not single:
        return _count(scene, choose)
    thing = choose.choice(single)
    return choose.choice(COLOUR_QUESTIONS).format(thing.shape), thing.colour


def _shape(scene: Scene, choose: random.Random) -> Turn:
    """Ask for the shape of a colour that is there once; fall back on counting when none is."""
    colours = [thing.colour for thing in scene.things]
    single = [thing for thing in scene.things if colours.count(thing.colour) == 1]
    if not single:
        return _count(scene, choose)
    thing = choose.choice(single)
    return choose.choice(SHAPE_QUESTIONS).format(thing.colour), thing.shape


def _presence(scene: Scene, choose: random.Random) -> Turn:
    names = {thing.name for thing in scene.things}
    if choose.random() < 0.5:
        name = choose.choice(sorted(names))
    else:
        name = f"{choose.choice(tuple(COLOURS))} {choose.choice(SHAPES)}"
    question = choose.choice(PRESENCE_QUESTIONS).format(f"{article(name)} {name}")
    return question, "yes" if name in names else "no"


def _place(scene: Scene, choose: random.Random) -> Turn:
    """Ask for the neighbour of a thing in one of four directions."""
    index = choose.randrange(len(scene.things))
    before, after = ("left of", "right of") if scene.is_row else ("above", "below")
    across = ("above", "below") if scene.is_row else ("left of", "right of")
    word = choose.choice((before, after, before, after, choose.choice(across)))
    neighbour = {before: index - 1, after: index + 1}.get(word, -1)
    answer = _called(scene.things[neighbour]) if 0 <= neighbour < len(scene.things) else NOTHING
    return PLACE_QUESTION.format(word, scene.things[index].name), answer


def _called(thing: Thing) -> str:
    return f"{article(thing.name)} {thing.name}"
