"""What a client of the slot scheduler submits and gets, and how far the scheduler has come with it."""

from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field
from typing import Any, Protocol

from modelservice_runtime.engine.sampling import LogitRules, Sampling, make_generator
from modelservice_runtime.engine.scheduling import Ticket, TokenLogprob


class Observer(Protocol):
    """Follows the tokens of one sequence on the torch thread; cheap, never blocks."""

    def push(self, token: int) -> tuple[str, bool]:
        """Take a token; return the text that is now certain, and whether a stop string ended the sequence."""

    def finish(self) -> str:
        """Return the text that was still held back."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What a client submits. `end_ids` end the sequence and are counted, but give no text.

    `source` is what the model reads besides the prompt (the text, spectrogram or image of an encoder-decoder), in the
    form that its runner expects, and `source_tokens` what it counts for in the usage; None for models that read tokens
    only. `rules` forbid or favour tokens. `follow` is asked, after the observer's `finish`, what to generate next for
    the same client before it is told `Done`: a long recording is a chain of generations, each from where the last one
    ended.
    """

    prompt: Seq[int]
    max_new_tokens: int
    sampling: Sampling
    end_ids: frozenset[int]
    observer: Observer
    source: Any = None
    source_tokens: int = 0
    rules: LogitRules | None = None
    follow: Callable[[], "Generation | None"] | None = None

    @property
    def prompt_tokens(self) -> int:
        """Tokens that the client is told to have sent; the prompt of an encoder-decoder is not the client's."""
        return self.source_tokens or len(self.prompt)


@dataclass(frozen=True, slots=True)
class Completion:
    """The value of `Done`: why the sequence ended (`stop` or `length`), its new tokens, and all of its text.

    `logprobs` holds one entry for each token that made text, when they were asked for. `cached_tokens` of the prompt
    were not computed, as their keys and values were known.
    """

    reason: str
    tokens: tuple[int, ...]
    text: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    cached_tokens: int = 0


@dataclass(slots=True, eq=False)
class Sequence:
    """One running sequence; its row is its place among the running ones.

    `computed` counts the tokens whose keys and values are in the row, `cached` those that were known when it began;
    `begun` tells whether its source is in the row.
    """

    ticket: Ticket
    tokens: list[int]
    prompt_length: int
    generator: Any
    computed: int = 0
    cached: int = 0
    begun: bool = False
    last_token_at: float = 0.0
    pieces: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    told: int = 0
    request: Generation = field(init=False)

    def __post_init__(self) -> None:
        self.request = self.ticket.item

    @classmethod
    def of(cls, ticket: Ticket) -> "Sequence":
        """Return the sequence of a ticket that has not begun."""
        request: Generation = ticket.item
        return cls(ticket, list(request.prompt), len(request.prompt), make_generator(request.sampling))

    @property
    def uncomputed(self) -> int:
        """How many tokens a prefill has still to compute."""
        return len(self.tokens) - self.computed

    def forget(self) -> None:
        """Note that its row is lost."""
        self.computed, self.begun = 0, False
