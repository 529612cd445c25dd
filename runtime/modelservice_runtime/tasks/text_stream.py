"""From tokens to text, one token at a time: the observer of `SlotScheduler` for text.

A token may be a part of a character, so text is handed out only when it is certain (tokenizers' `DecodeStream`). A
suffix that could be the beginning of a stop string is held back until the next tokens decide; nothing of a stop string
is ever sent. Streaming and unary answers use the same object, so they are the same text.
"""

from collections.abc import Sequence
from typing import Any

from tokenizers.decoders import DecodeStream


class SlowStream:
    """Does for tokenizers in Python what `DecodeStream` does for the fast ones: decodes all, gives what is new."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._given = ""

    def step(self, tokenizer: Any, token: int) -> str | None:
        """Take a token; return the text that is now certain, or None."""
        self._ids.append(token)
        text = str(tokenizer.decode(self._ids, skip_special_tokens=True))
        if text.endswith("\ufffd") or not text.startswith(self._given) or text == self._given:
            return None
        piece, self._given = text[len(self._given) :], text
        return piece


class TextStream:
    """Implements `Observer` for one sequence; `tokenizer` is of the fast kind unless a `SlowStream` is given."""

    def __init__(self, tokenizer: Any, stop: Sequence[str], stream: SlowStream | None = None) -> None:
        self._tokenizer = tokenizer
        self._stream: Any = stream or DecodeStream(skip_special_tokens=True)
        self._stop = tuple(stop)
        self._held = ""
        self._pending: list[int] = []
        self._stopped = False

    def push(self, token: int) -> tuple[str, bool]:
        """Take a token; return the text that is now certain, and whether a stop string ended it."""
        self._pending.append(token)
        piece = self._stream.step(self._tokenizer, token)
        if not piece:
            return "", False
        self._pending.clear()
        return self._release(piece)

    def finish(self) -> str:
        """Return the text that was held back; bytes that never became a character show as a replacement."""
        if self._stopped:
            return ""
        rest = self._tokenizer.decode(self._pending, skip_special_tokens=True) if self._pending else ""
        text, stopped = self._release(rest) if rest else ("", False)
        return text if stopped else text + self._held

    def _release(self, piece: str) -> tuple[str, bool]:
        text = self._held + piece
        cut = min((at for stop in self._stop if (at := text.find(stop)) >= 0), default=-1)
        if cut >= 0:
            self._stopped, self._held = True, ""
            return text[:cut], True
        keep = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], False


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest proper beginning of `stop` that `text` ends with."""
    for size in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0
