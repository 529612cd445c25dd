"""The labelled sentences of the training that were made for this project; the real ones are in `reviews`.

Most are composed from templates. A smaller part, `situations.tsv`, was written by hand: sentences that tell what
happened instead of naming a quality ("the zip held", "we walked in circles"). The templates carry what a bag of words
cannot tell: negation ("not boring at all"), contrast ("the room was lovely, but we will not come back" counts as
negative because the verdict comes last), and comparison. Labels are exact by construction: 1 approves, 0 disapproves.
"""

import random
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

WORDS = tomllib.loads((Path(__file__).parent / "words.toml").read_text(encoding="utf-8"))
THINGS: dict[str, list[str]] = WORDS["things"]
QUALITIES: tuple[list[str], list[str]] = (WORDS["bad_qualities"], WORDS["good_qualities"])
CLAUSES: tuple[list[str], list[str]] = (WORDS["bad_clauses"], WORDS["good_clauses"])
INTENSIFIERS: list[str] = WORDS["intensifiers"]
OPENERS: list[str] = WORDS["openers"]
ENDINGS: list[str] = WORDS["endings"]
NEGATIVE, POSITIVE = 0, 1


@dataclass(frozen=True)
class Example:
    """A sentence, its label, and how sure the label is."""

    text: str
    label: int
    certainty: float = 1.0


def read_examples(path: Path) -> list[Example]:
    """Return the sentences of a file with a label and a text on each line."""
    rows = (line.split("\t", 1) for line in path.read_text(encoding="utf-8").splitlines())
    return [Example(text, int(label)) for label, text in rows]


def situations() -> list[Example]:
    """Return the sentences that were written by hand for the training."""
    return read_examples(Path(__file__).parent / "situations.tsv")


def compose(count: int, seed: int) -> list[Example]:
    """Return `count` different sentences, as many of each label as possible, in random order."""
    composer = _Composer(random.Random(seed))
    seen: dict[str, Example] = {}
    label = POSITIVE
    while len(seen) < count:
        text = composer.sentence(label)
        if text not in seen:
            seen[text] = Example(text, label)
            label = 1 - label
    return list(seen.values())


class _Composer:
    def __init__(self, choose: random.Random) -> None:
        self._choose = choose
        self._forms: tuple[Callable[[int], str], ...] = (
            self._plain, self._plain, self._clause, self._two_clauses, self._negated, self._contrast, self._verdict,
            self._comparison, self._exclamation, self._two_aspects, self._clause_and_aspect, self._fragment,
        )  # fmt: skip

    def sentence(self, label: int) -> str:
        text = self._choose.choice(OPENERS) + self._choose.choice(self._forms)(label)
        text = text[0].upper() + text[1:] + self._choose.choice(ENDINGS)
        return text.lower() if self._choose.random() < 0.15 else text

    def _thing(self) -> tuple[str, str]:
        thing = self._choose.choice(tuple(THINGS))
        return thing, self._choose.choice(THINGS[thing])

    def _quality(self, label: int) -> str:
        return self._choose.choice(QUALITIES[label])

    def _statement(self, label: int) -> str:
        return self._choose.choice(CLAUSES[label])

    def _strong(self, label: int) -> str:
        quality = self._quality(label)
        return quality if quality.startswith("a ") else self._choose.choice(INTENSIFIERS) + quality

    def _plain(self, label: int) -> str:
        thing, part = self._thing()
        subject = self._choose.choice((part, f"this {thing}", f"the {thing}", f"{part} of this {thing}", "it"))
        return f"{subject} {self._choose.choice(('is', 'was', 'really is'))} {self._strong(label)}"

    def _clause(self, label: int) -> str:
        return self._statement(label)

    def _two_clauses(self, label: int) -> str:
        link = self._choose.choice((", ", " and ", "; ", ". ", " - "))
        return f"{self._statement(label)}{link}{self._statement(label)}"

    def _negated(self, label: int) -> str:
        _, part = self._thing()
        forms = (
            "{part} was not {quality}",
            "{part} was not {quality} at all",
            "{part} wasn't exactly {quality}",
            "{part} was anything but {quality}",
            "there is nothing {quality} about {part}",
            "I don't find {part} {quality}",
            "{part} is far from {quality}",
            "nobody could call {part} {quality}",
        )
        quality = self._quality(1 - label)
        if quality.startswith(("a ", "not ", "exactly ", "worth ")):
            quality = "good" if label == NEGATIVE else "bad"
        return self._choose.choice(forms).format(part=part, quality=quality)

    def _contrast(self, label: int) -> str:
        _, part = self._thing()
        forms = (
            "{part} was {other}, but {verdict}", "although {part} was {other}, {verdict}",
            "{part} may be {other}, yet {verdict}", "despite {part} being {other}, {verdict}",
        )  # fmt: skip
        return self._choose.choice(forms).format(
            part=part, other=self._strong(1 - label), verdict=self._statement(label)
        )

    def _verdict(self, label: int) -> str:
        thing, part = self._thing()
        verdicts = (
            (f"this {thing} is one to avoid", f"do not buy this {thing}", f"look for another {thing}"),
            (f"this {thing} is a must", f"go and get this {thing}", f"you need this {thing}"),
        )[label]
        return f"{part} was {self._strong(label)}, {self._choose.choice(verdicts)}"

    def _comparison(self, label: int) -> str:
        thing, part = self._thing()
        better = ("much better", "far superior", "a big step up")
        worse = ("much worse", "far inferior", "a big step down")
        words = self._choose.choice(better if label else worse)
        link = "from" if "step" in words else ("to" if "ior" in words else "than")
        return f"{part} is {words} {link} {self._choose.choice((f'my last {thing}', 'what I had before', 'the rest'))}"

    def _exclamation(self, label: int) -> str:
        thing, _ = self._thing()
        quality = self._quality(label)
        if quality.split()[0] in ("a", "worth", "exactly", "better", "worse", "not", "far", "full", "simply", "very"):
            return f"what can I say, this {thing} is {quality}"
        return f"what {'an' if quality[0] in 'aeiou' else 'a'} {quality} {thing}"

    def _two_aspects(self, label: int) -> str:
        thing = self._choose.choice(tuple(THINGS))
        first, second = self._choose.sample(THINGS[thing], 2)
        return f"{first} was {self._strong(label)} and {second} was {self._strong(label)}"

    def _clause_and_aspect(self, label: int) -> str:
        _, part = self._thing()
        link = self._choose.choice((". ", ", because ", ": "))
        return f"{self._statement(label)}{link}{part} was {self._strong(label)}"

    def _fragment(self, label: int) -> str:
        thing, part = self._thing()
        first, second = self._quality(label), self._quality(label)
        return self._choose.choice((f"{first} {thing}", f"{first}, {second}", f"{part}: {first}"))
