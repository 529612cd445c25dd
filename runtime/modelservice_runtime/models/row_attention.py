"""Attention of a decode step whose rows have different lengths, on CPUs.

All rows of a decode step are one batch, so attention reads every row up to the longest one: a single long prompt makes
each short answer beside it read a thousand positions of padding. Here the rows are divided into runs of neighbours of
about the same length, and each run reads up to its own longest row. A further call costs as much as reading some
positions of padding (`CALL_BYTES`), which decides how many runs there are.

The masks of a step carry the runs, and attention that finds none is transformers' own, as is that of each run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

CALL_BYTES = 1 << 18
"""Keys and values that are read in about the time of one call, measured on two cores."""


@dataclass(frozen=True, slots=True)
class Run:
    """Rows `first` to `end` (excluded), of which none is longer than `span`; `mask` is theirs, [rows, 1, 1, span]."""

    first: int
    end: int
    span: int
    mask: Any


def install_row_attention() -> None:
    """Make transformers' `sdpa` obey the runs that a mask carries."""
    AttentionInterface.register("sdpa", attend)


def attend(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, *args: Any, **kwargs: Any) -> Any:
    """Compute attention as transformers' `sdpa` does, run by run when the mask carries runs."""
    runs: Sequence[Run] = getattr(attention_mask, "runs", ())
    if not runs:
        return sdpa_attention_forward(module, query, key, value, attention_mask, *args, **kwargs)
    outputs = []
    for run in runs:
        rows, span = slice(run.first, run.end), run.span
        parts = query[rows], key[rows, :, :span], value[rows, :, :span], run.mask
        outputs.append(sdpa_attention_forward(module, *parts, *args, **kwargs)[0])
    return torch.cat(outputs), None


def carry_runs(masks: Any, lengths: Sequence[int], bytes_per_position: int) -> None:
    """Let masks [rows, 1, 1, positions], or a mapping of such, carry the runs of rows of these lengths."""
    shortest = min(lengths)
    runs = divide(tuple(length - shortest for length in lengths), CALL_BYTES // bytes_per_position)
    if len(runs) == 1:
        return
    for mask in masks.values() if isinstance(masks, Mapping) else (masks,):
        spans = [max(lengths[first:end]) for first, end in runs]
        mask.runs = [
            Run(first, end, span, mask[first:end, ..., :span]) for (first, end), span in zip(runs, spans, strict=True)
        ]


@lru_cache(maxsize=4)
def divide(lengths: tuple[int, ...], overhead: int) -> tuple[tuple[int, int], ...]:
    """Return the runs (first, end) that read the fewest positions, a run costing `overhead` besides.

    The lengths may all lack the same number, which changes nothing; so the runs are found once for a batch that grows.
    """
    costs, firsts = [0], [0]
    for end in range(1, len(lengths) + 1):
        longest, found = 0, []
        for first in range(end - 1, -1, -1):
            longest = max(longest, lengths[first])
            found.append((costs[first] + (end - first) * longest + overhead, first))
        cost, first = min(found)
        costs.append(cost)
        firsts.append(first)
    runs, end = [], len(lengths)
    while end:
        runs.append((firsts[end], end))
        end = firsts[end]
    return tuple(reversed(runs))
