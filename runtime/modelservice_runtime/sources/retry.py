"""Bounded retries with exponential backoff and jitter, for sources that may be down for a moment."""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from modelservice_runtime.errors import ModelNotFound, NotAllowed, RuntimeFault, SourceUnavailable

log = logging.getLogger(__name__)

Value = TypeVar("Value")


@dataclass(frozen=True)
class Retry:
    """Up to `attempts` tries; the n-th pause lasts up to `base * 2**n` seconds, never above `cap`."""

    attempts: int = 5
    base: float = 1.0
    cap: float = 20.0
    sleep: Callable[[float], None] = time.sleep

    def call(self, what: str, action: Callable[[], Value]) -> Value:
        """Run `action` until it returns; only SourceUnavailable is tried again, the last one is raised.

        An action that moves bytes tells so by `SourceUnavailable.progressed`; then the count starts anew.
        """
        failures = 0
        while True:
            try:
                return action()
            except SourceUnavailable as fault:
                failures = 1 if fault.progressed else failures + 1
                if failures >= self.attempts or not fault.transient:
                    raise
                pause = self._pause(failures - 1, fault.retry_after)
                log.warning(
                    "%s failed, trying again", what, extra={"error": str(fault), "try": failures, "pauseSeconds": pause}
                )
                self.sleep(pause)

    def _pause(self, failures: int, retry_after: float) -> float:
        """Half fixed, half random, so that many pods do not come back at the same instant."""
        longest = min(self.cap, self.base * 2.0**failures)
        pause: float = round(min(self.cap, max(retry_after, longest / 2 + random.uniform(0, longest / 2))), 3)  # noqa: S311 - no secret
        return pause


def fault_of_status(status: int, what: str, *, credentials: bool, retry_after: float = 0) -> RuntimeFault:
    """Turn a failed HTTP status into a fault; `credentials` says whether some were sent."""
    if status in (404, 410):
        return ModelNotFound(f"{what} does not exist (HTTP {status})")
    if status == 401 and not credentials:
        return NotAllowed(f"{what} wants credentials and none were sent (HTTP 401)")
    if status in (401, 403):
        return NotAllowed(f"{what} refuses the credentials (HTTP {status})" if credentials else f"{what} is forbidden")
    transient = status in (408, 425, 429) or status >= 500
    return SourceUnavailable(f"{what} answers HTTP {status}", transient=transient, retry_after=retry_after)
