"""The tensors behind the prefix cache: blocks of keys and values beside the rows of the slot cache.

The memory is a share of the KV cache's budget. On a CPU the system hands it out as blocks are written for the first
time, so a server whose prompts have nothing in common never takes it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from modelservice_runtime.engine.prefix_cache import BLOCK, LEAST_PROMPT
from modelservice_runtime.engine.slot_cache import SlotCache
from modelservice_runtime.models.device import without_gradients

CACHE_SHARE = 1 / 8  # of the KV cache's budget
LEAST_TOKENS = 512  # a smaller share would be overwritten before it is of use


class PrefixPool:
    """Implements `PrefixStore`: of each layer keys and values [blocks, heads, tokens of a block, head size]."""

    def __init__(self, slots: SlotCache, blocks: int) -> None:
        self.blocks = blocks
        self._layers = slots.cache.layers
        self._kept = [(_allocate(layer.keys, blocks), _allocate(layer.values, blocks)) for layer in self._layers]

    def drop(self) -> None:
        """Keep nothing from now on."""
        self.blocks, self._kept = 0, []

    @without_gradients
    def save(self, row: int, start: int, places: Sequence[int]) -> None:
        """Copy the positions of a row from `start` on to the blocks at `places`."""
        for first, place, size in _runs(places):
            begin = start + first * BLOCK
            for states, kept in self._pairs():
                kept[place : place + size] = _blocks(states, row, begin, size).transpose(0, 1)

    @without_gradients
    def load(self, row: int, places: Sequence[int]) -> None:
        """Copy the blocks at `places` to the first positions of a row."""
        for first, place, size in _runs(places):
            for states, kept in self._pairs():
                _blocks(states, row, first * BLOCK, size).copy_(kept[place : place + size].transpose(0, 1))

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        for layer, (keys, values) in zip(self._layers, self._kept, strict=True):
            yield layer.keys, keys
            yield layer.values, values


def share_out(budget: int, max_length: int) -> int:
    """Return how many blocks of prompts are kept out of a budget of tokens that has room for the longest sequence."""
    tokens = min(int(CACHE_SHARE * budget), budget - max_length)
    return tokens // BLOCK if tokens >= LEAST_TOKENS and max_length >= LEAST_PROMPT else 0


def _allocate(states: Any, blocks: int) -> Any:
    return states.new_empty((blocks, states.shape[1], BLOCK, states.shape[3]))


def _blocks(states: Any, row: int, start: int, size: int) -> Any:
    """Return positions of a row as blocks [heads, size, tokens of a block, head size], in place."""
    return states[row, :, start : start + size * BLOCK].unflatten(1, (size, BLOCK))


def _runs(places: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield (index, place, size) of neighbouring places: blocks that were kept together are copied together."""
    first = 0
    for index in range(1, len(places) + 1):
        if index == len(places) or places[index] != places[index - 1] + 1:
            yield first, places[first], index - first
            first = index
