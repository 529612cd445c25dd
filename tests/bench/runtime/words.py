"""Text for prompts and for the made tokenizer: words of syllables, the same in every run."""

import random

CONSONANTS, VOWELS = "bcdfghjklmnprstvwz", "aeiou"
VOCABULARY = 6000


def vocabulary() -> list[str]:
    """Return distinct words of two to four syllables."""
    rng = random.Random(1)
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        syllables = (rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(rng.randint(2, 4)))
        words["".join(syllables)] = None
    return list(words)


WORDS = vocabulary()
COMMON = [
    "time", "people", "way", "water", "word", "day", "number", "part", "sound", "place", "year", "work", "back",
    "thing", "name", "sentence", "man", "line", "boy", "farm", "end", "head", "mother", "story", "sea", "light",
    "city", "tree", "house", "page", "letter", "answer", "country", "river", "plant", "school", "food", "sun", "eye",
    "door",
]  # fmt: skip
"""English words, of which real tokenizers make one token each."""


def text(count: int, seed: int, words: list[str] = COMMON) -> str:
    """Return `count` words, the same for the same seed."""
    rng = random.Random(seed)
    return " ".join(rng.choice(words) for _ in range(count))
