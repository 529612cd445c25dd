"""How long the API server asked to be left alone with a ModelService: until then no event makes a request for it."""

import time
from collections.abc import Callable

from modelservice_operator.controller.keys import Key
from modelservice_operator.kube.errors import ApiError, Throttled


class Pauses:
    """The end of each key's pause, in seconds of the monotonic clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: dict[Key, float] = {}

    def note(self, key: Key, error: ApiError | None) -> None:
        """Begin a pause, or make it longer, if the error asks for one."""
        if isinstance(error, Throttled):
            self._ends[key] = max(self._ends.get(key, 0.0), self._clock() + error.retry_after)

    def left(self, key: Key) -> float:
        """Seconds until requests may be made again; 0 when they may be now."""
        left = self._ends.get(key, 0.0) - self._clock()
        if left <= 0:
            self.forget(key)
        return max(0.0, left)

    def forget(self, key: Key) -> None:
        """The ModelService is gone, or its pause is over."""
        self._ends.pop(key, None)
