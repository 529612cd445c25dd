"""What the slot scheduler asks of a model: the interface of the runners in `models/`."""

from collections.abc import Sequence
from typing import Any, Protocol

from modelservice_runtime.engine.prefix_cache import PrefixStore


class DecoderRunner(Protocol):
    """Runs the model over the rows of a slot cache; all calls on the torch thread.

    `group_rows` is how many rows one prefill may compute together; 1 where the model cannot. `prefixes` keeps the
    beginnings of prompts; `NoStore` where a beginning depends on more than its tokens.
    """

    max_length: int
    group_rows: int

    @property
    def prefixes(self) -> PrefixStore:
        """Where the beginnings of prompts are kept."""

    def fits(self, rows: int, length: int) -> bool:
        """Tell whether the cache's budget holds `rows` sequences of up to `length` positions."""

    def reserve(self, rows: int, length: int, used_rows: int, used_length: int) -> None:
        """Make room for them, keeping the used corner."""

    def begin(self, row: int, source: Any) -> int:
        """Take in the source of a row's sequence before its first prefill; return its length in positions."""

    def prefill(self, row: int, start: int, tokens: Sequence[int]) -> Any:
        """Compute prompt tokens at `start` of a row; return the logits of the last one, [1, vocabulary]."""

    def prefill_group(self, row: int, starts: Sequence[int], chunks: Sequence[Sequence[int]]) -> Any:
        """Compute `chunks[i]` at `starts[i]` of row + i; return the logits of each last one, [rows, vocabulary]."""

    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> Any:
        """Compute one token at `positions[i]` of each row i; return logits [rows, vocabulary]."""

    def move(self, source: int, target: int, length: int) -> None:
        """Copy a row over another."""

    def release(self) -> None:
        """Free what an idle engine need not hold."""

    def usage(self, used_tokens: int) -> float:
        """Return the used share of the cache's budget, 0 to 1."""

    def is_fatal(self, error: Exception) -> bool:
        """Tell whether the device is beyond use after this error."""
