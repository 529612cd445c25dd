"""Positions of a decode batch whose rows have different lengths, for decoders that count positions by themselves.

Decoders of encoder-decoder models take no position ids: they ask the cache for one length, the same for all rows. Two
schemes are in use, and both are functions of the position alone, so they are tabulated once and looked up for each
row: an embedding that is added to the token (BART, Marian, Whisper, M2M100), and a bias on the distance between query
and key (T5). Outside of a decode step over slots the model's own code runs.
"""

import inspect
from typing import Any

import torch
from torch import nn

from modelservice_runtime.engine.slot_cache import Window
from modelservice_runtime.models.device import without_gradients


class RowEmbedding(nn.Module):  # type: ignore[misc]  # torch is not type-checked here
    """Stands in for a decoder's `embed_positions`: [rows, 1, size] in a decode step."""

    def __init__(self, original: Any, window: Window, length: int, device: Any) -> None:
        super().__init__()
        self._original = original
        self._window = window
        self.register_buffer("_table", _tabulate(original, length, device), persistent=False)

    def forward(self, *arguments: Any, **named: Any) -> Any:
        """Return the embeddings of the positions that the window names, or what the model itself computes."""
        if self._window.row >= 0 or self._window.positions is None:
            return self._original(*arguments, **named)
        return self._table[self._window.positions].unsqueeze(1)


class RowBias:
    """Stands in for T5's `compute_bias`: [rows, heads, 1, keys] in a decode step."""

    def __init__(self, attention: Any, window: Window, length: int) -> None:
        self._original = attention.compute_bias
        self._window = window
        furthest_first = self._original(1, length, past_seen_tokens=length - 1)[0, :, 0, :]
        self._table = furthest_first.flip(-1)

    def __call__(self, query_length: int, key_length: int, **named: Any) -> Any:
        """Return the bias of one query a row over `key_length` keys, or what the model itself computes."""
        if self._window.row >= 0 or self._window.positions is None:
            return self._original(query_length, key_length, **named)
        keys = torch.arange(key_length, device=self._table.device)
        distance = (self._window.positions[:, None] - keys[None, :]).clamp(min=0)
        return self._table[:, distance].permute(1, 0, 2).unsqueeze(2)


@without_gradients
def install_row_positions(decoder: Any, window: Window, length: int) -> bool:
    """Make a decoder's positions follow the window; False when it has neither of the two schemes."""
    found = False
    for module in list(decoder.modules()):
        if (embedding := getattr(module, "embed_positions", None)) is not None:
            module.embed_positions = RowEmbedding(embedding, window, length, decoder.device)
            found = True
        if hasattr(module, "compute_bias") and getattr(module, "has_relative_attention_bias", False):
            module.compute_bias = RowBias(module, window, length)
            found = True
    return found


def _tabulate(embedding: Any, length: int, device: Any) -> Any:
    """Return the embeddings of the first positions, [length, size]."""
    places = torch.arange(length, device=device)
    parameters = list(inspect.signature(embedding.forward).parameters)
    if "position_ids" in parameters:
        ids = torch.Size((1, length)) if parameters[0] == "input_ids_shape" else places.unsqueeze(0)
        table = embedding(ids, position_ids=places)
    else:
        no_padding = torch.full((1, length), (getattr(embedding, "padding_idx", None) or 0) + 1, device=device)
        table = embedding(no_padding)
    return table.reshape(length, -1).clone()
