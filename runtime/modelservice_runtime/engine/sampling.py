"""Choosing the next token of each row, with parameters of its own per row.

A row draws exactly one uniform number per token from its own generator and inverts the cumulative distribution with it
(inverse transform sampling). So the text for a seed does not depend on which other requests happen to share the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from modelservice_runtime.engine.scheduling import TokenLogprob

SORT_WIDTH = 1024
LEAST_TEMPERATURE = 1e-6  # below, the likeliest token is the only one that float32 can tell


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one request chooses its tokens; temperature 0 is greedy, top_k 0 and top_p 1 mean no cut.

    `logprobs` is how many of the likeliest tokens are told beside each chosen one; None tells nothing.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    logprobs: int | None = None


class LogitRules(Protocol):
    """What a sequence may not say, or should rather say, besides its sampling parameters; torch thread."""

    def apply(self, tokens: Sequence[int], logits: Any) -> Any:
        """Return the logits [vocabulary] of the token after `tokens` (prompt and answer so far), changed or not."""


def apply_rules(logits: Any, ruled: Sequence[tuple[int, Any, Sequence[int]]]) -> Any:
    """Return the logits in float32 with the rules of some rows applied; `ruled` holds (row, rules, tokens)."""
    changed = logits.float().clone()
    for row, rules, tokens in ruled:
        changed[row] = rules.apply(tokens, changed[row])
    return changed


def measure_token(logits: Any, token: int, count: int) -> TokenLogprob:
    """Return log-probabilities, of a token and of the `count` likeliest, under the model's own logits [vocabulary]."""
    values = torch.log_softmax(logits.float(), dim=-1)
    likeliest: tuple[tuple[int, float], ...] = ()
    if count:
        top, ids = torch.topk(values, min(count, values.shape[-1]))
        likeliest = tuple(zip(ids.tolist(), top.tolist(), strict=True))
    return TokenLogprob(token, float(values[token]), likeliest)


def make_generator(sampling: Sampling) -> Any:
    """Return the generator of a request, or None for a greedy one."""
    if sampling.temperature == 0.0:
        return None
    return torch.Generator(device="cpu").manual_seed(sampling.seed)


def choose_tokens(logits: Any, rows: list[tuple[Sampling, Any]]) -> list[int]:
    """Return one token id for each row of `logits` [rows, vocabulary].

    `rows` holds the parameters and the generator of each row. Greedy rows cost one argmax for the whole batch.
    """
    chosen: list[int] = logits.argmax(dim=-1).tolist()
    for index, (sampling, generator) in enumerate(rows):
        if generator is not None:
            chosen[index] = _draw(logits[index], sampling, generator)
    return chosen


def _draw(logits: Any, sampling: Sampling, generator: Any) -> int:
    """Draw from the softmax of one row after top-k, then top-p (nucleus, Holtzman et al. 2020)."""
    uniform = float(torch.rand((), generator=generator, dtype=torch.float64))
    scaled = _scale(logits.float(), sampling.temperature)
    if sampling.top_k == 0 and sampling.top_p >= 1.0:
        return _invert(torch.softmax(scaled, dim=-1), uniform)
    probabilities, ids = _most_likely(scaled, sampling)
    if sampling.top_p < 1.0:
        before = probabilities.cumsum(0) - probabilities
        kept = int((before < sampling.top_p).sum())
        probabilities = probabilities[: max(1, kept)]  # a tiny top_p is zero in float32, and still keeps the likeliest
    return int(ids[_invert(probabilities, uniform)])


def _scale(logits: Any, temperature: float) -> Any:
    """Return the logits over the temperature, the largest being 0: a tiny temperature gives no infinity, but greed."""
    return (logits - logits.max()) / max(temperature, LEAST_TEMPERATURE)


def _most_likely(scaled: Any, sampling: Sampling) -> tuple[Any, Any]:
    """Return probabilities and ids in falling order, at least as many as the cuts can keep.

    A full sort of the vocabulary takes milliseconds; the nucleus almost always lies within the first thousand.
    """
    size = scaled.shape[-1]
    if sampling.top_k:
        values, ids = torch.topk(scaled, min(sampling.top_k, size))
        return torch.softmax(values, dim=-1), ids
    values, ids = torch.topk(scaled, min(SORT_WIDTH, size))
    probabilities = torch.exp(values - torch.logsumexp(scaled, dim=-1))
    if float(probabilities.sum()) < sampling.top_p:
        values, ids = torch.sort(scaled, descending=True)
        return torch.softmax(values, dim=-1), ids
    return probabilities, ids


def _invert(probabilities: Any, uniform: float) -> int:
    cumulative = probabilities.double().cumsum(0)
    index = int(torch.searchsorted(cumulative, uniform * float(cumulative[-1]), right=True))
    return min(index, int(probabilities.shape[0]) - 1)
