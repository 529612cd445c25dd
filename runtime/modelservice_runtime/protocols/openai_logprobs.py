"""Log-probabilities as the two endpoints write them."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol


class Entry(Protocol):
    """`engine.sampling.TokenLogprob`."""

    @property
    def token(self) -> int:
        """The token's id."""

    @property
    def logprob(self) -> float:
        """The logarithm of its probability."""

    @property
    def likeliest(self) -> Sequence[tuple[int, float]]:
        """Ids and logarithms of the likeliest tokens."""


Spell = Callable[[int], tuple[str, bytes]]
"""Returns the text and the bytes of a token."""


def chat_logprobs(entries: Sequence[Entry], spell: Spell) -> dict[str, Any]:
    """Return the `logprobs` of a chat choice."""
    content = [
        {
            **_token(spell, entry.token, entry.logprob),
            "top_logprobs": [_token(spell, token, value) for token, value in entry.likeliest],
        }
        for entry in entries
    ]
    return {"content": content, "refusal": None}


def completion_logprobs(entries: Sequence[Entry], spell: Spell, offset: int) -> dict[str, Any]:
    """Return the `logprobs` of a completion; `offset` is where the first token's text begins."""
    texts = [spell(entry.token)[0] for entry in entries]
    offsets = [offset + sum(map(len, texts[:place])) for place in range(len(texts))]
    return {
        "tokens": texts,
        "token_logprobs": [entry.logprob for entry in entries],
        "top_logprobs": [{spell(token)[0]: value for token, value in entry.likeliest} for entry in entries],
        "text_offset": offsets,
    }


def _token(spell: Spell, token: int, logprob: float) -> dict[str, Any]:
    text, data = spell(token)
    return {"token": text, "logprob": logprob, "bytes": list(data)}
