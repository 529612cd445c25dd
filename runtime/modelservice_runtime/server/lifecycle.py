"""The states of the process, and what each means to a probe.

    importing -> loading -> warming -> (verifying ->) ready -> draining
                        (any) -> failed

Startup succeeds once the model is warm and, where there is a golden request, has answered it; readiness means that
requests are answered; liveness fails only when waiting cannot help: the engine failed, or its thread has been silent
for longer than any step may take.
"""

import time
from collections.abc import Callable
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where the process is in its life."""

    IMPORTING = "importing"
    LOADING = "loading"
    WARMING = "warming"
    VERIFYING = "verifying"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


STARTING: Final = (State.IMPORTING, State.LOADING, State.WARMING, State.VERIFYING)
ORDER: Final = (*STARTING, State.READY, State.DRAINING)


class Lifecycle:
    """The current state, the seconds that each stage of the start took, and the error that ended it.

    Written by the torch thread (start) and the event loop (end); each write is one assignment.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._entered = self._begun
        self.state = State.IMPORTING
        self.seconds: dict[State, float] = {}
        self.total_seconds: float | None = None
        self.error: dict[str, object] | None = None
        self.was_ready = False

    def enter(self, state: State) -> None:
        """Move on to a later state; a move back (ready after draining began) is passed over."""
        if self.state is State.FAILED or ORDER.index(state) <= ORDER.index(self.state):
            return
        now = self._clock()
        if self.state in STARTING:
            self.seconds[self.state] = now - self._entered
        if state is State.READY:
            self.total_seconds = now - self._begun
            self.was_ready = True
        self._entered = now
        self.state = state

    def fail(self, error: dict[str, object]) -> None:
        """Record why the process cannot go on."""
        self.error = error
        self.state = State.FAILED

    def trouble(self, heartbeat_age: float, hang_seconds: float) -> str:
        """Return why only a restart can help; empty while the process is alive."""
        if self.state is State.FAILED:
            return "the engine failed"
        if self.was_ready and heartbeat_age > hang_seconds:
            return f"the engine has been silent for {heartbeat_age:.0f} s"
        return ""

    @property
    def is_starting(self) -> bool:
        """Whether the model is not there yet."""
        return self.state in STARTING
