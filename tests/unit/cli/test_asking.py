"""What a person gives becomes the request that the model's task wants."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest

from modelservice_operator.cli.asking import CannotAsk, Given, form_question, take

IMAGE = "data:image/png;base64,AA=="
AUDIO = "data:audio/wav;base64,AA=="
WRITING = {"max_tokens": 9, "temperature": 0}
ENGINE = {"id": "m"}
"""The card of a server that tells nothing of itself."""


def _card(task: str, reads: str) -> dict[str, Any]:
    return {"id": "m", "task": task, "reads": reads}


@pytest.mark.parametrize(
    ("task", "reads", "given", "instance"),
    [
        ("text-classification", "text_or_pair", Given(("a", "b")), {"text": "a b"}),
        ("feature-extraction", "text", Given(("a",)), {"text": "a"}),
        ("fill-mask", "masked", Given(("a [MASK]",)), {"text": "a [MASK]"}),
        (
            "zero-shot-classification",
            "candidates",
            Given(("a",), labels=("x", "y")),
            {"text": "a", "candidate_labels": ("x", "y")},
        ),
        ("question-answering", "question", Given(("who?",), passage="me"), {"question": "who?", "context": "me"}),
        ("rerank", "query", Given(("q",), documents=("d",)), {"query": "q", "documents": ("d",)}),
        ("image-classification", "image", Given(image=IMAGE), {"image": IMAGE}),
        ("automatic-speech-recognition", "audio", Given(audio=AUDIO), {"audio": AUDIO}),
        ("text-to-image", "picture_prompt", Given(("a fox",)), {"prompt": "a fox"}),
    ],
)
def test_instance_has_the_fields_of_the_task(task: str, reads: str, given: Given, instance: dict[str, Any]) -> None:
    question = form_question(_card(task, reads), given, WRITING)
    assert (question.path, question.body, question.is_stream) == (
        "/v1/models/m:predict",
        {"instances": [instance]},
        False,
    )


@pytest.mark.parametrize("card", [_card("chat", "prompt"), ENGINE])
def test_chat_is_streamed(card: dict[str, Any]) -> None:
    question = form_question(card, Given(("hello",)), WRITING)
    assert (question.path, question.is_stream) == ("/v1/chat/completions", True)
    assert question.body["messages"] == [{"role": "user", "content": "hello"}]
    assert question.body["max_tokens"] == 9


def test_prompt_is_completed_when_the_model_is_no_chat_model() -> None:
    question = form_question(_card("summarization", "prompt"), Given(("long",)), WRITING)
    assert (question.path, question.body["prompt"], question.is_stream) == ("/v1/completions", "long", True)


def test_image_goes_before_the_text_when_the_model_reads_both() -> None:
    question = form_question(_card("image-text-to-text", "image_prompt"), Given(("what?",), image=IMAGE), WRITING)
    assert [part["type"] for part in question.body["messages"][0]["content"]] == ["image_url", "text"]


@pytest.mark.parametrize(
    ("card", "given", "words"),
    [
        (_card("question-answering", "question"), Given(("who?",)), "--passage TEXT"),
        (_card("zero-shot-classification", "candidates"), Given(("a",)), "--label ONE"),
        (_card("rerank", "query"), Given(("a",)), "--document TEXT"),
        (_card("image-classification", "image"), Given(("a",)), "try NAME picture.png"),
        (_card("automatic-speech-recognition", "audio"), Given(image=IMAGE), "try NAME speech.wav"),
        (_card("text-classification", "text"), Given(("a",), image=IMAGE), "has no use for an image; it needs a text"),
        (_card("image-text-to-text", "image_prompt"), Given(("a",)), "try NAME picture.png"),
        (_card("chat", "prompt"), Given(("a",), image=IMAGE), "reads text alone"),
        (_card("chat", "prompt"), Given(), 'try NAME "some text"'),
        (ENGINE, Given(), 'try NAME "some text"'),
        (_card("new-task", "smell"), Given(("a",)), "cannot ask a model that reads smell"),
    ],
)
def test_way_out_is_told_when_what_is_given_does_not_fit(card: dict[str, Any], given: Given, words: str) -> None:
    with pytest.raises(CannotAsk, match=re.escape(words)):
        form_question(card, given, WRITING)


def test_words_are_sorted_into_texts_and_files(tmp_path: Path) -> None:
    for name in ("picture.PNG", "speech.wav", "notes.txt"):
        (tmp_path / name).write_bytes(b"content\n")
    words = ("look at", *(str(tmp_path / name) for name in ("picture.PNG", "speech.wav", "notes.txt")), "-")
    given = take(words, stdin="piped\n")
    assert given.texts == ("look at", "content", "piped")
    encoded = base64.b64encode(b"content\n").decode()
    assert given.image == f"data:image/png;base64,{encoded}"
    assert given.audio.endswith(f";base64,{encoded}")


def test_missing_image_is_no_text() -> None:
    with pytest.raises(CannotAsk, match=r"nowhere\.png cannot be read: No such file"):
        take(("nowhere.png",))


def test_sentence_that_ends_like_a_file_is_a_text() -> None:
    assert take(("What is a logo.png",)).texts == ("What is a logo.png",)


def test_file_of_an_unknown_kind_is_named(tmp_path: Path) -> None:
    file = tmp_path / "weights.bin"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CannotAsk, match=r"weights\.bin is neither text"):
        take((str(file),))
