"""From what a person gives to a request of the runtime's API, led by the card on which the runtime says what it serves.

`reads` of the card names the kind of input, `gives` that of the result; a server that says neither (another engine)
is taken for one that speaks OpenAI's chat completions.
"""

import base64
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

Card = Mapping[str, Any]


class CannotAsk(ValueError):  # noqa: N818 - named for the situation
    """What was given does not fit the model; the message says what would."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a person gave: texts in their order, files as `data:` URLs, and what options add."""

    texts: tuple[str, ...] = ()
    image: str = ""
    audio: str = ""
    passage: str = ""
    labels: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The texts as one."""
        return " ".join(self.texts)


@dataclass(frozen=True, slots=True)
class Question:
    """A request: where to, with which body; `is_stream` when the answer comes in pieces of text."""

    path: str
    body: dict[str, Any] = field(default_factory=dict)
    is_stream: bool = False


_WAYS: Final[dict[str, str]] = {
    "text": 'a text: try NAME "some text"',
    "image": "an image: try NAME picture.png",
    "audio": "a recording: try NAME speech.wav",
    "passage": "the text to look in: --passage TEXT",
    "labels": "the labels to choose from: --label ONE --label TWO",
    "documents": "the documents to rank: --document TEXT --document TEXT",
}
_FIELDS: Final[dict[str, dict[str, str]]] = {
    "text": {"text": "text"},
    "text_or_pair": {"text": "text"},
    "masked": {"text": "text"},
    "candidates": {"text": "text", "candidate_labels": "labels"},
    "question": {"question": "text", "context": "passage"},
    "query": {"query": "text", "documents": "documents"},
    "picture_prompt": {"prompt": "text"},
    "image": {"image": "image"},
    "image+candidates": {"image": "image", "candidate_labels": "labels"},
    "audio": {"audio": "audio"},
}
"""The fields of an instance by the kind of input, and where each comes from."""


def take(words: tuple[str, ...], given: Given = Given(), stdin: str = "") -> Given:
    """Sort words into texts and files; `-` stands for `stdin`. Raises CannotAsk for a file of an unknown kind."""
    for word in words:
        kind = _kind_of(word)
        if word == "-":
            given = replace(given, texts=(*given.texts, stdin.strip()))
        elif kind == "image":
            given = replace(given, image=_read(Path(word)))
        elif kind == "audio":
            given = replace(given, audio=_read(Path(word)))
        elif len(word) < 4096 and Path(word).is_file():
            given = replace(given, texts=(*given.texts, _read_text(Path(word))))
        else:
            given = replace(given, texts=(*given.texts, word))
    return given


def form_question(card: Card, given: Given, writing: Mapping[str, Any]) -> Question:
    """The request for what was given; `writing` are the parameters of text that is to be written.

    Raises CannotAsk when something is missing or of no use to the model.
    """
    name, reads = str(card["id"]), str(card.get("reads") or "")
    if reads == "image_prompt" or not reads or card.get("task") == "chat":
        return _chat(name, reads, given, writing)
    if reads == "prompt":
        _check(given, {"text"}, card)
        body = {"model": name, "prompt": given.text, "stream": True, **writing}
        return Question("/v1/completions", body, is_stream=True)
    if reads not in _FIELDS:
        raise CannotAsk(f"this version of the plugin cannot ask a model that reads {reads}; see /docs of the server")
    fields = _FIELDS[reads]
    _check(given, set(fields.values()), card)
    instance = {key: getattr(given, source) for key, source in fields.items()}
    return Question(f"/v1/models/{name}:predict", {"instances": [instance]})


def _chat(name: str, reads: str, given: Given, writing: Mapping[str, Any]) -> Question:
    wanted = {"image_prompt": {"image"}, "prompt": {"text"}}.get(reads, set())
    missing = [source for source in sorted(wanted) if not getattr(given, source)]
    if missing or not (given.text or given.image):
        raise CannotAsk(f"the model needs {_WAYS[(missing or ['text'])[0]]}")
    if given.image and reads == "prompt":
        raise CannotAsk("the model reads text alone; leave the image out")
    parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": given.image}}] if given.image else []
    parts += [{"type": "text", "text": given.text}] if given.text else []
    content: Any = parts if given.image else given.text
    messages = [{"role": "user", "content": content}]
    body = {"model": name, "messages": messages, "stream": True, **writing}
    return Question("/v1/chat/completions", body, is_stream=True)


def _check(given: Given, wanted: set[str], card: Card) -> None:
    task = card.get("task")
    for source in sorted(wanted):
        if not getattr(given, source):
            raise CannotAsk(f"{task} needs {_WAYS[source]}")
    for source in _WAYS.keys() - wanted:
        if getattr(given, source):
            raise CannotAsk(f"{task} has no use for {_WAYS[source].split(':')[0]}; it needs {_list(wanted)}")


def _list(wanted: set[str]) -> str:
    return " and ".join(_WAYS[source].split(":")[0] for source in sorted(wanted))


def _kind_of(word: str) -> str:
    """`image` or `audio` of a word that is the name of such a file."""
    if any(character.isspace() for character in word) and not Path(word[:4096]).is_file():
        return ""
    guessed, _ = mimetypes.guess_type(word)
    return (guessed or "").split("/")[0]


def _read(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CannotAsk(f"{path} cannot be read: {error.strerror}") from None
    kind = mimetypes.guess_type(path.name)[0]
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise CannotAsk(f"{path} is neither text nor an image nor a recording that can be read") from None
