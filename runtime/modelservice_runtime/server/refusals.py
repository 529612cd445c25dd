"""How soon a request that has no room is refused: at once, unless refusing would take the processors from answering.

Clients that ask again the moment they are refused can ask thousands of times a second. Each refusal is cheap and all
together they are not: on two cores, 32 such clients left the model no time at all. So refusals come at once as long as
they are at most a few for each answer, or a hundred a second; those beyond that are held, up to a second, which slows
down only those who do not wait by themselves. The method is a token bucket that may go into debt.
"""

import time
from collections.abc import Callable
from typing import Final

STATUSES: Final = (429, 503)
PER_SECOND: Final = 100.0
PER_ANSWER: Final = 4.0
BURST: Final = 100.0
LONGEST_SECONDS: Final = 1.0


class RefusalPace:
    """Counts answers and refusals; `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._room = BURST
        self._at = clock()

    def answered(self) -> None:
        """A request was answered, so some more may be refused at once."""
        self._room = min(BURST, self._room + PER_ANSWER)

    def hold_seconds(self) -> float:
        """Count a refusal; return for how many seconds to hold it."""
        now = self._clock()
        self._room = min(BURST, self._room + PER_SECOND * (now - self._at))
        self._at = now
        self._room = max(self._room - 1.0, -PER_SECOND * LONGEST_SECONDS)
        return max(0.0, -self._room / PER_SECOND)
