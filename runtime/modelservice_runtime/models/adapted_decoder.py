"""A causal language model whose rows have adapters of their own over the slot KV cache.

A sequence's source is the name of its adapter, an empty one for the model as it is. `begin` notes it for the row, and
it follows the row when the scheduler moves it; a preempted sequence begins again.
"""

from collections.abc import Sequence
from typing import Any

from modelservice_runtime.models.decoder import CausalDecoder
from modelservice_runtime.models.lora import AdapterBank


class AdaptedDecoder(CausalDecoder):
    """Implements `DecoderRunner`; a source is the name of an adapter."""

    def __init__(
        self,
        model: Any,
        bank: AdapterBank,
        max_length: int,
        max_rows: int,
        budget_bytes: int,
        *,
        keep_prefixes: bool = False,
    ) -> None:
        super().__init__(model, max_length, max_rows, budget_bytes, keep_prefixes=keep_prefixes)
        self._bank = bank
        self._names: dict[int, str] = {}

    def begin(self, row: int, source: str) -> int:
        """Note the adapter of a row; it takes no positions."""
        self._names[row] = source
        return 0

    def move(self, source: int, target: int, length: int) -> None:
        """Copy a row over another."""
        super().move(source, target, length)
        self._names[target] = self._names.get(source, "")

    def prefill(self, row: int, start: int, tokens: Sequence[int]) -> Any:
        """Compute prompt tokens at `start` of a row; return the logits of the last one, [1, vocabulary]."""
        self._bank.choose([self._names.get(row, "")], self._device)
        return super().prefill(row, start, tokens)

    def prefill_group(self, row: int, starts: Sequence[int], chunks: Sequence[Sequence[int]]) -> Any:
        """Compute `chunks[i]` at `starts[i]` of row + i; return the logits of each last one, [rows, vocabulary]."""
        self._bank.choose([self._names.get(row + place, "") for place in range(len(chunks))], self._device)
        return super().prefill_group(row, starts, chunks)

    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> Any:
        """Compute one token at `positions[i]` of each row i; return logits [rows, vocabulary]."""
        self._bank.choose([self._names.get(row, "") for row in range(len(tokens))], self._device)
        return super().decode(tokens, positions)
