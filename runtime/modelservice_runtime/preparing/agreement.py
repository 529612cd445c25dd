"""How far two models agree on the same samples."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from modelservice_runtime.engine.generation import Completion
from modelservice_runtime.tasks.inputs import Label, Transcript


@dataclass(frozen=True)
class Agreement:
    """Shares from 0 to 1; None where a task has no such thing.

    `cosine_mean` and `cosine_least` compare logits (or embeddings) row by row: of each token, frame or input.
    `top1` is the share of rows whose likeliest class is the same. `same_answers` is the share of samples with the same
    label, transcript or greedy tokens; `same_tokens` the share of greedy tokens before the first that differs.
    """

    samples: int
    cosine_mean: float | None = None
    cosine_least: float | None = None
    top1: float | None = None
    same_answers: float | None = None
    same_tokens: float | None = None


def compare_logits(before: Sequence[Any], after: Sequence[Any], *, embeddings: bool) -> dict[str, float | None]:
    """Compare rows [rows, classes] of each sample; a single class is compared over all samples together."""
    one, other = torch.cat(list(before)), torch.cat(list(after))
    if one.shape[-1] == 1:
        one, other = one.T, other.T
    cosines = torch.nn.functional.cosine_similarity(one, other, dim=-1)
    classes = not embeddings and before[0].shape[-1] > 1
    return {
        "cosine_mean": float(cosines.mean()),
        "cosine_least": float(cosines.min()),
        "top1": float((one.argmax(-1) == other.argmax(-1)).float().mean()) if classes else None,
    }


def compare_answers(before: Sequence[Any], after: Sequence[Any]) -> dict[str, float | None]:
    """Compare labels, transcripts or completions."""
    keys = [(_key_of(one), _key_of(other)) for one, other in zip(before, after, strict=True)]
    found: dict[str, float | None] = {}
    if all(one is not None for one, _ in keys):
        found["same_answers"] = statistics.fmean(one == other for one, other in keys)
    if all(isinstance(one, Completion) for one in before):
        pairs = zip(before, after, strict=True)
        found["same_tokens"] = statistics.fmean(_common(one.tokens, other.tokens) for one, other in pairs)
    return found


def _key_of(answer: Any) -> Any:
    if isinstance(answer, Completion):
        return answer.tokens
    if isinstance(answer, Transcript):
        return answer.text
    if isinstance(answer, list) and answer and isinstance(answer[0], Label):
        return answer[0].label
    return None


def _common(one: Sequence[int], other: Sequence[int]) -> float:
    """Return the share of two sequences that comes before their first difference."""
    pairs = enumerate(zip(one, other, strict=False))
    same = next((index for index, (left, right) in pairs if left != right), min(len(one), len(other)))
    longest = max(len(one), len(other))
    return same / longest if longest else 1.0
