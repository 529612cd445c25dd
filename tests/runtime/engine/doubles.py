"""Stand-ins for what surrounds a scheduler: a loop that delivers at once, a meter that remembers, a scripted model."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from modelservice_runtime.engine.prefix_cache import BLOCK, NoStore, PrefixStore


class ImmediateLoop:
    """Delivers events on the calling thread."""

    def call_soon_threadsafe(self, callback: Callable[..., None], *arguments: Any) -> None:
        callback(*arguments)


class RememberingMeter:
    """Keeps what was reported, by name."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.reports.append((name, arguments))

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [arguments for reported, arguments in self.reports if reported == name]


class Silent:
    """An observer without text."""

    def push(self, token: int) -> tuple[str, bool]:
        return "", False

    def finish(self) -> str:
        return ""


class CountingRunner:
    """A model whose next token is the last one plus one, over rows that it checks for what the scheduler claims.

    `memory[row]` holds the tokens that were written to a row; a decode step whose row does not hold exactly the
    sequence's earlier tokens fails the test.
    """

    vocabulary = 1000

    def __init__(self, max_rows: int = 4, max_length: int = 64, budget: int = 10_000, group_rows: int = 3) -> None:
        self.group_rows = group_rows
        self.max_length = max_length
        self.memory: dict[int, list[int]] = {}
        self.sources: dict[int, Any] = {}
        self.batches: list[int] = []
        self.fail_next: Exception | None = None
        self.prefixes: PrefixStore = NoStore()
        self._max_rows = max_rows
        self._budget = budget

    def fits(self, rows: int, length: int) -> bool:
        return rows <= self._max_rows and (rows == 1 or rows * length <= self._budget)

    def reserve(self, rows: int, length: int, used_rows: int, used_length: int) -> None:
        assert self.fits(rows, length)

    def begin(self, row: int, source: Any) -> int:
        self._raise()
        self.sources[row] = source
        return len(source)

    def prefill(self, row: int, start: int, tokens: Sequence[int]) -> Any:
        self._raise()
        self.memory[row] = [*self.memory.get(row, [])[:start], *tokens]
        assert len(self.memory[row]) == start + len(tokens)
        return self._logits([tokens[-1]])

    def prefill_group(self, row: int, starts: Sequence[int], chunks: Sequence[Sequence[int]]) -> Any:
        assert 1 < len(chunks) <= self.group_rows
        return torch.cat(
            [
                self.prefill(row + place, start, chunk)
                for place, (start, chunk) in enumerate(zip(starts, chunks, strict=True))
            ]
        )

    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> Any:
        self._raise()
        self.batches.append(len(tokens))
        for row, (token, position) in enumerate(zip(tokens, positions, strict=True)):
            assert self.memory[row][position - 1] == token - 1
            self.memory[row] = [*self.memory[row][:position], token]
            assert len(self.memory[row]) == position + 1
        return self._logits(tokens)

    def move(self, source: int, target: int, length: int) -> None:
        self.memory[target] = self.memory[source][:length]
        if source in self.sources:
            self.sources[target] = self.sources[source]

    def release(self) -> None:
        self.memory.clear()

    def usage(self, used_tokens: int) -> float:
        return used_tokens / self._budget

    def is_fatal(self, error: Exception) -> bool:
        return isinstance(error, MemoryError)

    def check(self, row: int, tokens: Sequence[int]) -> None:
        """Fail unless a row begins with these tokens."""
        assert self.memory.get(row, [])[: len(tokens)] == list(tokens)

    def _raise(self) -> None:
        if self.fail_next is not None:
            error, self.fail_next = self.fail_next, None
            raise error

    def _logits(self, tokens: Sequence[int]) -> Any:
        logits = torch.zeros(len(tokens), self.vocabulary)
        for row, token in enumerate(tokens):
            logits[row, token + 1] = 10.0
        return logits


class TokenStore:
    """A prefix store that keeps the tokens themselves, of the rows of a `CountingRunner`."""

    def __init__(self, runner: CountingRunner, blocks: int = 16) -> None:
        self.blocks = blocks
        self.kept: dict[int, list[int]] = {}
        self.fail_next: Exception | None = None
        self._runner = runner

    def save(self, row: int, start: int, places: Sequence[int]) -> None:
        if self.fail_next is not None:
            error, self.fail_next = self.fail_next, None
            raise error
        for index, place in enumerate(places):
            begin = start + index * BLOCK
            self.kept[place] = self._runner.memory[row][begin : begin + BLOCK]
            assert place < self.blocks
            assert len(self.kept[place]) == BLOCK

    def load(self, row: int, places: Sequence[int]) -> None:
        self._runner.memory[row] = [token for place in places for token in self.kept[place]]
