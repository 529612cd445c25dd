"""From labelled tokens to entities, by the rules of transformers' token-classification pipeline.

A model labels tokens, which are parts of words. How they become entities is the client's choice:

- `none`: each token by itself,
- `simple`: neighbours with the same label are joined; `B-` begins a new entity, `I-` goes on with it,
- `first`, `average`, `max`: first the tokens of a word agree on one label (that of the first token, of the mean of all
  probabilities, of the most certain token), so that no word is torn, then as `simple`.

`O` marks what is no entity and is left out. Everything here is plain Python: it runs on the event loop.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from modelservice_runtime.tasks.inputs import Entity

Strategy = Literal["none", "simple", "first", "average", "max"]
OUTSIDE = "O"


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """Where a token lies in its text, in characters, and whether it goes on with the word of the token before it."""

    start: int
    end: int
    is_subword: bool


@dataclass(frozen=True, slots=True)
class TaggedText:
    """A text with the probabilities of all labels for each of its tokens, special tokens left out."""

    text: str
    labels: Sequence[str]
    spans: Sequence[TokenSpan]
    scores: Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class _Tagged:
    label: str
    score: float
    start: int
    end: int


def find_entities(tagged: TaggedText, strategy: Strategy) -> list[Entity]:
    """Return the entities of a text in their order."""
    tokens = [[pair] for pair in zip(tagged.spans, tagged.scores, strict=True)]
    if strategy in _AGREEMENTS:
        tokens = _words(tagged)
    choose = _AGREEMENTS.get(strategy, _first)
    parts = [_tag(token, choose, tagged.labels) for token in tokens]
    found = parts if strategy == "none" else _join(parts)
    return [
        Entity(part.label, part.score, part.start, part.end, tagged.text[part.start : part.end])
        for part in found
        if part.label != OUTSIDE
    ]


Word = list[tuple[TokenSpan, Sequence[float]]]


def _words(tagged: TaggedText) -> list[Word]:
    words: list[Word] = []
    for span, scores in zip(tagged.spans, tagged.scores, strict=True):
        if words and span.is_subword:
            words[-1].append((span, scores))
        else:
            words.append([(span, scores)])
    return words


def _first(word: Word) -> Sequence[float]:
    return word[0][1]


def _average(word: Word) -> Sequence[float]:
    return [sum(column) / len(word) for column in zip(*(scores for _, scores in word), strict=True)]


def _most_certain(word: Word) -> Sequence[float]:
    return max((scores for _, scores in word), key=max)


_AGREEMENTS: Mapping[str, Callable[[Word], Sequence[float]]] = {
    "first": _first,
    "average": _average,
    "max": _most_certain,
}


def _tag(word: Word, choose: Callable[[Word], Sequence[float]], labels: Sequence[str]) -> _Tagged:
    scores = choose(word)
    best = max(range(len(scores)), key=scores.__getitem__)
    return _Tagged(labels[best], scores[best], word[0][0].start, word[-1][0].end)


def _join(parts: Sequence[_Tagged]) -> list[_Tagged]:
    """Join neighbours of the same kind; the score is the mean of theirs."""
    groups: list[list[_Tagged]] = []
    for part in parts:
        prefix, kind = _split(part.label)
        if groups and prefix != "B" and kind == _split(groups[-1][-1].label)[1]:
            groups[-1].append(part)
        else:
            groups.append([part])
    return [
        _Tagged(
            group[0].label.split("-", 1)[-1],
            sum(part.score for part in group) / len(group),
            group[0].start,
            group[-1].end,
        )
        for group in groups
    ]


def _split(label: str) -> tuple[str, str]:
    """Return the prefix and the kind; a label without a prefix goes on with its neighbour."""
    return (label[0], label[2:]) if label.startswith(("B-", "I-")) else ("I", label)
