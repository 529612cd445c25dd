"""Rules that a request sets for its own answer: favoured tokens, penalties for repetition, a grammar.

Each implements `LogitRules` for one sequence and sees its tokens so far, prompt included. They run on the rows that
ask for them; a batch without any pays nothing, one with some pays for a copy of its logits.
"""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from modelservice_runtime.engine.sampling import LogitRules

logger = logging.getLogger(__name__)

FORBIDDEN = float("-inf")


class RuleChain:
    """Applies rules one after the other."""

    def __init__(self, rules: Sequence[LogitRules]) -> None:
        self._rules = tuple(rules)

    def apply(self, tokens: Sequence[int], logits: Any) -> Any:
        """Apply all rules."""
        for rule in self._rules:
            logits = rule.apply(tokens, logits)
        return logits


class Bias:
    """Adds a number to the logits of some tokens, as OpenAI's `logit_bias` does."""

    def __init__(self, bias: Mapping[int, float]) -> None:
        self._ids = list(bias)
        self._values = list(bias.values())

    def apply(self, _tokens: Sequence[int], logits: Any) -> Any:
        """Add the bias."""
        logits[self._ids] += torch.tensor(self._values, dtype=logits.dtype, device=logits.device)
        return logits


class Penalties:
    """Makes tokens less likely that were said already.

    `presence` is subtracted once from each token of the answer, `frequency` once for each time (OpenAI). `repetition`
    divides positive logits, and multiplies negative ones, of all tokens of prompt and answer (Keskar et al. 2019).
    """

    def __init__(self, prompt_length: int, presence: float, frequency: float, repetition: float) -> None:
        self._prompt_length = prompt_length
        self._presence = presence
        self._frequency = frequency
        self._repetition = repetition

    def apply(self, tokens: Sequence[int], logits: Any) -> Any:
        """Lower the logits of what was said."""
        if self._repetition != 1.0:
            ids = sorted(set(tokens))
            known = logits[ids]
            logits[ids] = torch.where(known > 0, known / self._repetition, known * self._repetition)
        counts = Counter(tokens[self._prompt_length :])
        if counts and (self._presence or self._frequency):
            lowered = [self._presence + self._frequency * count for count in counts.values()]
            logits[list(counts)] -= torch.tensor(lowered, dtype=logits.dtype, device=logits.device)
        return logits


class Matcher(Protocol):
    """A grammar's state: llguidance's `LLMatcher`."""

    def consume_token(self, token: int) -> bool:
        """Go on by a token; False when the grammar does not allow it."""

    def is_stopped(self) -> bool:
        """Tell whether nothing may follow."""

    def compute_bitmask(self) -> bytes:
        """Return one bit for each token that may follow, the lowest bit of a byte first."""


class GrammarRule:
    """Forbids every token that a grammar does not allow; the end is allowed where the grammar may end."""

    def __init__(self, matcher: Matcher, prompt_length: int, end_ids: Collection[int]) -> None:
        self._matcher = matcher
        self._seen = prompt_length
        self._end_ids = sorted(end_ids)

    def apply(self, tokens: Sequence[int], logits: Any) -> Any:
        """Follow the new tokens, then forbid what may not follow them."""
        for token in tokens[self._seen :]:
            self._matcher.consume_token(token)
        self._seen = len(tokens)
        allowed = torch.zeros(logits.shape[-1], dtype=torch.bool)
        if not self._matcher.is_stopped():
            bits = np.unpackbits(np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8), bitorder="little")
            count = min(len(bits), len(allowed))
            allowed[:count] = torch.from_numpy(bits[:count]).bool()
        if not bool(allowed.any()):
            allowed[self._end_ids] = True
        return logits.masked_fill(~allowed.to(logits.device), FORBIDDEN)
