"""Which tokens make a word; the scheme of Whisper's authors.

Tokens are joined until they decode to whole characters. A word begins at a space or at punctuation, and in languages
that are written without spaces at every character; punctuation then goes to the word that it belongs to.
(transformers' `_combine_tokens_into_words`.)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

WITHOUT_SPACES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
OPENING = "\"'“¡¿([{-"
CLOSING = "\"'.。,，!！?？:：”)]}、"  # noqa: RUF001
BROKEN = "\ufffd"


@dataclass(frozen=True, slots=True)
class Word:
    """The tokens `first` to `last` (not included), and their text."""

    text: str
    first: int
    last: int

    def __add__(self, other: "Word") -> "Word":
        return Word(self.text + other.text, self.first, other.last)


def group_words(ids: Sequence[int], decode: Callable[[Sequence[int]], str], language: str | None) -> list[Word]:
    """Return the words that these tokens write; every token is in one of them."""
    parts = _split_characters(ids, decode)
    if language not in WITHOUT_SPACES:
        parts = _join_subwords(parts)
    return _join_closing(_join_opening(parts))


def _split_characters(ids: Sequence[int], decode: Callable[[Sequence[int]], str]) -> list[Word]:
    """Return the shortest runs of tokens that are whole characters, or as broken as they are in the whole text."""
    whole, parts, first, offset = decode(ids), [], 0, 0
    for place in range(len(ids)):
        text = decode(ids[first : place + 1])
        broken = offset + text.find(BROKEN)
        if BROKEN not in text or broken >= len(whole) or whole[broken] == BROKEN:
            parts.append(Word(text, first, place + 1))
            first, offset = place + 1, offset + len(text)
    return parts


def _join_subwords(parts: Sequence[Word]) -> list[Word]:
    words: list[Word] = []
    for part in parts:
        if not words or part.text.startswith(" ") or part.text.strip() in PUNCTUATION:
            words.append(part)
        else:
            words[-1] += part
    return words


def _join_opening(words: Sequence[Word]) -> list[Word]:
    """Let punctuation that opens something join the word after it."""
    joined: list[Word] = []
    for word in reversed(words):
        if joined and word.text.startswith(" ") and word.text.strip() in OPENING:
            joined[-1] = word + joined[-1]
        else:
            joined.append(word)
    return joined[::-1]


def _join_closing(words: Sequence[Word]) -> list[Word]:
    """Let punctuation that closes something join the word before it."""
    joined: list[Word] = []
    for word in words:
        if joined and not joined[-1].text.endswith(" ") and word.text in CLOSING:
            joined[-1] += word
        else:
            joined.append(word)
    return joined
