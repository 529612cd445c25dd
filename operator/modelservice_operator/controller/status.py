"""When the status is written: never unless it changed, at once when it matters, else together with what follows.

A model that starts changes its status many times in a moment (pod seen, scheduled, pulling). Written one by one these
would cost more requests than all children together and tell nobody anything, so the domain says for how long a change
may wait for more. The write carries the version that the status was computed from: if the object changed meanwhile,
the answer is a conflict and the status is computed again.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from modelservice_operator.controller.intake import Intake
from modelservice_operator.controller.keys import Key
from modelservice_operator.controller.patch import merge_patch
from modelservice_operator.domain import patience
from modelservice_operator.engine.cache import Record
from modelservice_operator.kube.api import KubeApi
from modelservice_operator.kube.resources import MODEL_SERVICE


class StatusWriter:
    """Writes statuses of ModelServices; remembers since when progress has been waiting."""

    def __init__(self, api: KubeApi, intake: Intake, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._intake = intake
        self._clock = clock
        self._due: dict[Key, float] = {}

    def forget(self, key: Key) -> None:
        """The ModelService is gone."""
        self._due.pop(key, None)

    async def write(
        self, key: Key, record: Record, status: Mapping[str, Any], hold: float = 0.0, failed: bool = False
    ) -> float | None:
        """Write the status if it is time; return in how many seconds to come back if it is not, else None.

        `hold` is how long even an urgent change waits, because something that belongs to it is about to be known. With
        `failed` every change is urgent. Raises ApiError.
        """
        known = record.body.get("status") or {}
        patch = merge_patch(known, status)
        if not patch:
            self._due.pop(key, None)
            return None
        wait = self._wait(key, hold if failed else max(hold, patience(known, status)))
        if wait > 0:
            return wait
        answer = await self._api.patch_status(MODEL_SERVICE, key.namespace, key.name, patch, str(record.version))
        self._due.pop(key, None)
        self._intake.take(MODEL_SERVICE, answer)
        return None

    def _wait(self, key: Key, at_most: float) -> float:
        """Seconds left until a change that may wait `at_most` is due, counted from when the first one was seen."""
        now = self._clock()
        self._due[key] = min(self._due.get(key, float("inf")), now + at_most)
        return self._due[key] - now
