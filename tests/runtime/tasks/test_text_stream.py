import random
from typing import Any

import pytest

from modelservice_runtime.tasks.text_stream import TextStream
from tests.runtime.support.tiny_models import byte_level_tokenizer

pytestmark = pytest.mark.torch

TEXT = "le café coûte 3 € à Zürich — naïve façade 🦊 señor, smörgåsbord"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return byte_level_tokenizer(chat=False).backend_tokenizer


def feed(tokenizer: Any, text: str, stop: tuple[str, ...] = ()) -> tuple[list[str], bool]:
    stream = TextStream(tokenizer, stop)
    pieces, stopped = [], False
    for token in tokenizer.encode(text).ids:
        piece, stopped = stream.push(token)
        pieces.append(piece)
        if stopped:
            break
    return [*pieces, stream.finish()], stopped


def test_text_is_whole_when_characters_span_tokens(tokenizer: Any) -> None:
    pieces, _ = feed(tokenizer, TEXT)
    assert "".join(pieces) == TEXT
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)


@pytest.mark.parametrize("stop", ["Zürich", "fox", "€ à", "rd", "e", TEXT])
def test_text_ends_before_the_stop_string_when_it_appears(tokenizer: Any, stop: str) -> None:
    pieces, stopped = feed(tokenizer, TEXT, (stop,))
    expected, found, _ = TEXT.partition(stop)
    assert "".join(pieces) == expected
    assert stopped == bool(found)


def test_held_text_is_given_when_the_stop_string_does_not_complete(tokenizer: Any) -> None:
    pieces, stopped = feed(tokenizer, "an angry bea", ("bear",))
    assert "".join(pieces) == "an angry bea"
    assert not stopped


def test_earliest_of_several_stop_strings_wins(tokenizer: Any) -> None:
    rng = random.Random(1)
    for _ in range(50):
        text = "".join(rng.choice("abc ") for _ in range(30))
        stops = tuple({"".join(rng.choice("abc") for _ in range(rng.randint(1, 3))) for _ in range(3)})
        pieces, _ = feed(tokenizer, text, stops)
        given = "".join(pieces)
        assert text.startswith(given)
        assert not any(stop in given for stop in stops)


def test_incomplete_character_is_shown_as_a_replacement_when_the_text_ends(tokenizer: Any) -> None:
    stream = TextStream(tokenizer, ())
    piece, _ = stream.push(tokenizer.encode("🦊").ids[0])
    assert piece == ""
    assert stream.finish() == "\N{REPLACEMENT CHARACTER}"
