"""How many prompt tokens a step computes, and which prompts share a forward pass.

Every prompt token that is computed before a decode step delays the next token of every running sequence. So while
sequences are decoded, prefill gets about one and a half times as long as a decode step takes: a sequence then waits at
most about two and a half times its usual time for a token, however long the prompts that arrive. With less, each pass
has a larger part of costs that do not depend on its size: with equal times, a mixed load made a seventh fewer tokens.
How many tokens that is depends on model, device and load, and is learnt from what the last passes took. A delay costs
those that are decoded and serves those that wait, so the time grows with the number of the latter for each of the
former: otherwise short prompts behind a long one wait several times as long for their first token. When nothing is
decoded, nobody is delayed, and prompts go fast.

What a sequence is conditioned on, such as half a minute of sound, is encoded in one pass that cannot be divided, and
may take as long as twenty decode steps. Such a pass goes into debt, and the decode steps after it pay it off before the
next one. So of recordings that arrive together the first is written down while others wait to be heard, at a small
price: batches are smaller than if all were encoded first, when nobody would be answered until nearly all were.

Short prompts are computed together, because a pass over a few tokens costs about as much as one over many: the weights
are read once. Prompts of a group are padded to the longest of them, so a group takes neighbours in the queue only as
long as the padding stays small.
"""

from dataclasses import dataclass, field

from modelservice_runtime.engine.generation import Sequence

LEAST_TOKENS = 16  # prompts progress, even where a pass over one token takes longer than a decode step
SHARE = 1.5  # of the time of a decode step
MEMORY = 0.8  # of the running mean of decode times
FREE_PADDING, PADDING_SHARE = 32, 0.25
LEAST_CHUNK = 8  # a smaller part of a prompt is not worth a place in a group


class PrefillPace:
    """Learns how many prompt tokens take `SHARE` of the time of a decode step; `most` when nothing is decoded.

    Every step asks for its `budget` first, and may go on only until it is `in_debt`.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._tokens = float(most)
        self._decode_seconds = 0.0
        self._urgency = 1.0
        self._owed_seconds = 0.0

    def budget(self, decoding: int, waiting: int) -> int:
        """Return how many prompt tokens a step may compute while so many sequences decode and so many prompts wait."""
        self._urgency = 1 + waiting / max(1, decoding)
        if not decoding:
            self._owed_seconds = 0.0
            return self._most
        return 0 if self.in_debt else min(self._most, int(self._tokens * self._urgency))

    @property
    def in_debt(self) -> bool:
        """Whether passes that cannot be divided took more than what the next decode step pays off."""
        return self._owed_seconds > 0 and self._owed_seconds >= self._allowance

    @property
    def _allowance(self) -> float:
        return SHARE * self._decode_seconds * self._urgency

    def decoded(self, seconds: float) -> None:
        """Note how long a decode step took."""
        known = self._decode_seconds or seconds
        self._decode_seconds = MEMORY * known + (1 - MEMORY) * seconds
        self._owed_seconds = max(0.0, self._owed_seconds - self._allowance)

    def encoded(self, seconds: float) -> None:
        """Note how long a pass took that could not be divided, as it took a source in."""
        self._owed_seconds += seconds

    def filled(self, tokens: int, seconds: float) -> None:
        """Note how long a prefill of so many tokens took, and move the budget towards its share of a step.

        A pass much below the budget that was quick tells nothing about the budget. One odd measurement moves it by a
        factor of two at most.
        """
        if not self._decode_seconds:
            return
        factor = SHARE * self._decode_seconds / max(seconds, 1e-9)
        if factor < 1.0:
            self._tokens = min(self._tokens, max(tokens * factor, self._tokens / 2))
        elif 2 * tokens >= self._tokens:
            self._tokens = max(self._tokens, tokens * min(factor, 2.0))
        self._tokens = min(max(self._tokens, LEAST_TOKENS), self._most)


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next tokens of a sequence's prompt that one pass computes."""

    sequence: Sequence
    tokens: list[int]

    @property
    def is_last(self) -> bool:
        """Whether the prompt is complete after it."""
        return len(self.tokens) == self.sequence.uncomputed


@dataclass(slots=True)
class Group:
    """The chunks of one pass, of at most `rows` sequences and about `budget` tokens; only the last may be a part."""

    rows: int
    budget: int
    chunks: list[Chunk] = field(default_factory=list)

    def take(self, sequence: Sequence) -> bool:
        """Add the next chunk of a sequence; False when it has to wait for another pass."""
        room = self.budget - self.real
        size = min(sequence.uncomputed, room)
        if self.chunks and not self._suits(sequence, size):
            return False
        start = sequence.computed
        self.chunks.append(Chunk(sequence, sequence.tokens[start : start + size]))
        return True

    def _suits(self, sequence: Sequence, size: int) -> bool:
        if len(self.chunks) >= self.rows or not self.chunks[-1].is_last:
            return False
        if size < min(LEAST_CHUNK, sequence.uncomputed):
            return False
        real = self.real + size
        longest = max(size, *(len(chunk.tokens) for chunk in self.chunks))
        return longest * (len(self.chunks) + 1) - real <= FREE_PADDING + PADDING_SHARE * real

    @property
    def real(self) -> int:
        """Tokens of all chunks."""
        return sum(len(chunk.tokens) for chunk in self.chunks)

    @property
    def padded(self) -> int:
        """Positions that the pass computes."""
        return len(self.chunks) * max((len(chunk.tokens) for chunk in self.chunks), default=0)
