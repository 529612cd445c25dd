"""Decode steps as CUDA graphs: recorded once for each size of batch, then started by one call.

A decode step of a small model is a thousand kernels of a few microseconds, and starting them one by one takes longer
than running them. A graph starts them all, but it is frozen: it reads the same buffers and has the same shapes each
time. So rows and span are rounded up to a few sizes (buckets), tokens and positions are copied into buffers of the
graph, and graphs are dropped when the cache moves.

Rows that only fill a bucket up compute one token each at the last place of the cache. A prompt that is being read into
such a row computes that place last, if at all, and so overwrites it before anything sees it. Sampling stays outside,
and so do adapters, whose choice of rows is made by Python.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from modelservice_runtime.models import accelerator
from modelservice_runtime.models.decoder import CausalDecoder
from modelservice_runtime.models.device import without_gradients

logger = logging.getLogger(__name__)

SMALL_ROWS = (1, 2, 4)
ROWS_STEP = 8
LEAST_SPAN = 128
MOST_GRAPHS = 64


@dataclass(frozen=True, slots=True)
class DecodeGraph:
    """A recorded step: its buffers [rows] of tokens and positions, and the logits [rows, vocabulary] it leaves."""

    tokens: Any
    places: Any
    replay: Callable[[], None]
    logits: Any

    def run(self, tokens: Sequence[int], positions: Sequence[int], spare: int) -> Any:
        """Compute one token of each row; rows beyond those given write at the place `spare`."""
        idle = self.tokens.shape[0] - len(tokens)
        _fill(self.tokens, [*tokens, *[0] * idle])
        _fill(self.places, [*positions, *[spare] * idle])
        self.replay()
        return self.logits[: len(tokens)]


class GraphedDecoder(CausalDecoder):
    """Implements `DecoderRunner` with recorded decode steps; falls back to plain ones when recording fails."""

    def __init__(
        self, model: Any, max_length: int, max_rows: int, budget_bytes: int, *, keep_prefixes: bool = False
    ) -> None:
        self._graphs: dict[tuple[int, int], DecodeGraph] = {}
        self._recorded_over: Any = None
        self._gave_up = False
        self._max_rows = max_rows
        super().__init__(model, max_length, max_rows, budget_bytes, keep_prefixes=keep_prefixes)

    def reserve(self, rows: int, length: int, used_rows: int, used_length: int) -> None:
        """Make room for them and, inside the budget, for the bucket that they fall into."""
        wide = min(self._max_rows, bucket_rows(rows)), min(self.max_length, bucket_span(length))
        if not self._gave_up and self.fits(*wide):
            rows, length = wide
        super().reserve(rows, length, used_rows, used_length)

    @without_gradients
    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> Any:
        """Compute one token at `positions[i]` of each row i; return logits [rows, vocabulary]."""
        graph = self._find_graph(len(tokens), max(positions) + 1)
        if graph is None:
            return super().decode(tokens, positions)
        return graph.run(tokens, positions, self._slots.length - 1)

    def _find_graph(self, rows: int, span: int) -> DecodeGraph | None:
        """Return the graph for a batch, recording it when it is the first of its size; None when there can be none."""
        if self._gave_up:
            return None
        keys = self._slots.cache.layers[0].keys
        if keys is not self._recorded_over:
            self._graphs.clear()
            self._recorded_over = keys
        size = min(self._max_rows, bucket_rows(rows)), min(self._slots.length, bucket_span(span))
        if size[0] > self._slots.rows:
            return None
        if size not in self._graphs:
            self._record(*size)
        return self._graphs.get(size)

    def _record(self, rows: int, span: int) -> None:
        """Record a step of `rows` over `span` positions; log the reason and give up when that fails."""
        while len(self._graphs) >= MOST_GRAPHS:
            self._graphs.pop(next(iter(self._graphs)))
        tokens = torch.zeros(rows, dtype=torch.long, device=self._device)
        places = torch.full((rows,), self._slots.length - 1, device=self._device)
        try:
            replay, logits = accelerator.capture(lambda: self._step(tokens, places, span))
        except Exception as error:
            if self.is_fatal(error):
                raise
            self._gave_up = True
            self._graphs.clear()
            reason = f"{type(error).__name__}: {error}"
            logger.warning("decode steps run without CUDA graphs", extra={"reason": reason, "rows": rows, "span": span})
            return
        self._graphs[rows, span] = DecodeGraph(tokens, places, replay, logits)
        logger.info("decode step recorded", extra={"rows": rows, "span": span, "graphs": len(self._graphs)})

    def _step(self, tokens: Any, places: Any, span: int) -> Any:
        """Compute a step from buffers; nothing in here may look at their values."""
        window = self._slots.window
        window.row, window.span = -1, span
        window.positions, window.indices = places, self._places[: places.shape[0]]
        masks = self._masks(places[:, None], span, lambda allowed: allowed[:, None, None, :])
        return self._forward({"input_ids": tokens.unsqueeze(1)}, places.unsqueeze(1), masks)


def bucket_rows(rows: int) -> int:
    """Return the least size of batch that is recorded and holds `rows`: 1, 2, 4, or a multiple of 8."""
    return next((size for size in SMALL_ROWS if size >= rows), -(-rows // ROWS_STEP) * ROWS_STEP)


def bucket_span(span: int) -> int:
    """Return the least span that is recorded and holds `span` positions: 128, 256, 512, ..."""
    size = LEAST_SPAN
    while size < span:
        size *= 2
    return size


def _fill(buffer: Any, values: Sequence[int]) -> None:
    buffer.copy_(accelerator.send(torch.tensor(values), buffer.device))
