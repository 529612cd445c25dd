"""Measures how well entities are found on the held-out sentences.

`heldout.txt` was drawn once from the held-out templates and names (`corpus.compose_held_out`) and is committed, so that
the figure does not move with the packages. An entity counts as found when its kind and both of its ends are right.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from tests.models.ner.corpus import Mention, Sentence

HELDOUT = Path(__file__).parent / "heldout.txt"
MARK = re.compile(r"\{(\w+)\|([^}]*)\}")


def held_out() -> list[Sentence]:
    """Return the held-out sentences."""
    return [_parse(line) for line in HELDOUT.read_text(encoding="utf-8").splitlines()]


def write_held_out(sentences: Sequence[Sentence]) -> None:
    """Write sentences with their entities marked, `{PER|Ada Lovelace}`, one a line."""
    HELDOUT.write_text("".join(f"{_mark(sentence)}\n" for sentence in sentences), encoding="utf-8")


def entity_f1(found: Sequence[set[Mention]], expected: Sequence[Sentence]) -> float:
    """Return the harmonic mean of precision and recall over all entities."""
    right = sum(len(mentions & set(sentence.mentions)) for mentions, sentence in zip(found, expected, strict=True))
    return 2 * right / (sum(map(len, found)) + sum(len(sentence.mentions) for sentence in expected))


def _parse(line: str) -> Sentence:
    text, mentions, end = "", [], 0
    for mark in MARK.finditer(line):
        text += line[end : mark.start()]
        end = mark.end()
        mentions.append(Mention(mark[1], len(text), len(text) + len(mark[2])))
        text += mark[2]
    return Sentence(text + line[end:], tuple(mentions))


def _mark(sentence: Sentence) -> str:
    line, end = "", 0
    for mention in sentence.mentions:
        line += f"{sentence.text[end : mention.start]}{{{mention.label}|{sentence.text[mention.start : mention.end]}}}"
        end = mention.end
    return line + sentence.text[end:]
