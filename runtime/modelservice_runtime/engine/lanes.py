"""Two schedulers on the one torch thread: work that people wait for, and work that may take its time.

The second lane steps whenever the first has nothing to do. Under steady load it still gets one step after a bounded
time, so that it is slow, and never starves; what the first lane pays is one short step each time.
"""

import time
from collections.abc import Callable
from typing import Protocol

PATIENCE_SECONDS = 0.5


class Lane(Protocol):
    """What is stepped; False when there is nothing to do."""

    def step(self) -> bool:
        """Do one unit of work."""


class Lanes:
    """Implements `Steps` over an interactive lane and a patient one."""

    def __init__(
        self,
        interactive: Lane,
        patient: Lane,
        patience: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interactive = interactive
        self._patient = patient
        self._patience = patience
        self._clock = clock
        self._served_at = clock()
        self._waiting = True

    def step(self) -> bool:
        """Step the interactive lane, and the patient one when it is its turn."""
        busy = self._interactive.step()
        if not busy or self._clock() - self._served_at >= self._patience:
            self._waiting = self._patient.step()
            self._served_at = self._clock()
        return busy or self._waiting
