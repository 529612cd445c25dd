"""Exponential backoff with full jitter: the delay before the n-th retry is uniform in [0, min(cap, base * 2^n)].

Full jitter spreads a crowd of failing keys best (Brooker, "Exponential Backoff And Jitter", 2015). A small floor
keeps a retry from becoming a busy loop when the draw is near zero.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays in seconds. `draw` returns a number in [0, 1); tests replace it."""

    base: float = 0.2
    cap: float = 300.0
    floor: float = 0.05
    draw: Callable[[], float] = random.random

    def delay(self, failures: int) -> float:
        """Return the delay in seconds before the next attempt, after `failures` (at least 1) failed ones."""
        ceiling = min(self.cap, self.base * 2.0 ** min(failures - 1, 63))
        return max(min(self.floor, ceiling), ceiling * self.draw())

    def __iter__(self) -> Iterator[float]:
        failures = 0
        while True:
            failures += 1
            yield self.delay(failures)
