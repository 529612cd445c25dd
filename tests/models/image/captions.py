"""Captions of digits: many ways to ask for one, and other ways that are kept from the training."""

import random

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEMPLATES = (
    "{}", "a {}", "an {}", "the {}", "the digit {}", "the number {}", "a digit {}", "number {}", "digit {}",
    "a handwritten {}", "the handwritten digit {}", "a picture of a {}", "a picture of the digit {}",
    "an image of the number {}", "a photo of a {}", "draw a {}", "draw the digit {}", "please draw the number {}",
    "write a {}", "write the number {}", "show me a {}", "paint a {} please", "a white {} on black",
    "the figure {}", "{}, handwritten", "a small {}", "i want a {}", "make a picture that shows the number {}",
)  # fmt: skip
HELD_OUT = (
    "a drawing of the digit {}",
    "could you sketch the number {}",
    "the numeral {} in white ink",
    "give us a nice {}",
)
FILLERS = (
    "very", "nice", "old", "bold", "thin", "quick", "in", "ink", "with", "chalk", "white", "black", "by", "hand", "my",
    "his", "her", "our", "some", "this", "that", "here", "now", "clear", "plain", "good", "big", "style", "of", "pen",
    "paper", "drawing", "sketch", "school", "new", "another", "just", "only", "simple", "letter", "sign", "symbol",
    "can", "you", "me", "us", "it", "is", "and", "or", "like", "see", "would", "love", "there", "page", "art", "work",
)  # fmt: skip


def caption(digit: int, choose: random.Random) -> str:
    """Return one of the captions of a digit; every third has words put in that say nothing."""
    words = choose.choice(TEMPLATES).format(choose.choice((WORDS[digit], str(digit)))).split()
    if choose.random() < 1 / 3:
        for _ in range(choose.randint(1, 3)):
            words.insert(choose.randint(0, len(words)), choose.choice(FILLERS))
    return " ".join(words)


def every_caption() -> list[str]:
    """Return all captions without fillers, and the fillers, for the tokenizer to learn from."""
    names = (*WORDS, *map(str, range(10)))
    return [template.format(name) for template in TEMPLATES for name in names] + list(FILLERS)
