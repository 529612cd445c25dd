"""The claims of caches: read one by one, and only those that ModelServices name.

A cluster may have thousands of other claims, which nobody has to list or to watch for the sake of these. What is read
goes to the cache, so that everything else decides from there. A claim that serves is read again when its ModelService
is looked at and it was last read a minute ago; one that is missing or cannot be shared is asked for again and again,
the more patiently the longer that lasts.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from modelservice_operator.api.reasons import ConditionType, Reason
from modelservice_operator.controller.intake import record_of
from modelservice_operator.controller.keys import Key
from modelservice_operator.domain import SpecError, claim_named_in
from modelservice_operator.domain.tree import Tree, items, moment, text
from modelservice_operator.engine.cache import Cache, ObjectId, Record
from modelservice_operator.kube.api import KubeApi
from modelservice_operator.kube.errors import NotFound
from modelservice_operator.kube.resources import CLAIM

UNUSABLE: Final = (Reason.CACHE_CLAIM_NOT_FOUND, Reason.CACHE_CLAIM_NOT_SHARED)
KNOWN_SECONDS: Final = 60.0
SOONEST: Final = 1.0
LATEST: Final = 60.0
PART: Final = 10
"""A claim that has been unusable for so long is asked for again in a tenth of that, within the bounds above."""


class Claims:
    """The claim of each ModelService, in the cache of the operator."""

    def __init__(self, api: KubeApi, cache: Cache, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._cache = cache
        self._clock = clock
        self._read: dict[Key, tuple[ObjectId, float]] = {}

    async def look(self, key: Key, service: Record) -> None:
        """Read the claim that a ModelService names, if what is known of it may be old. Raises ApiError."""
        body = service.body
        name = claim_named_in(body.get("spec") or {})
        if not name:
            self.forget(key)
            return
        claim, now = ObjectId(CLAIM.kind, key.namespace, name), self._clock()
        last, at = self._read.get(key, (None, 0.0))
        patience = 0.0 if _is_unusable(body.get("status") or {}) else KNOWN_SECONDS
        if last != claim or now - at >= patience:
            await self._refresh(claim)
            self._read[key] = claim, now

    def forget(self, key: Key) -> None:
        """The ModelService is gone, or has no cache."""
        self._read.pop(key, None)

    async def _refresh(self, claim: ObjectId) -> None:
        known = self._cache.get(claim)
        try:
            found = record_of(CLAIM, await self._api.get(CLAIM, claim.namespace, claim.name))
        except NotFound:
            found = None
        if known is not None and (found is None or found.uid != known.uid):
            self._cache.delete(claim, known.uid, known.version)
        if found is not None:
            self._cache.upsert(found)


def looks_again_in(error: SpecError | None, status: Mapping[str, Any], now: datetime) -> float | None:
    """In how many seconds to ask for a claim again that cannot be used; None when there is no such claim."""
    if error is None or error.reason not in UNUSABLE:
        return None
    since = moment(_spec_valid(status), "lastTransitionTime") if _is_unusable(status) else None
    return min(LATEST, max(SOONEST, (now - since).total_seconds() / PART)) if since else SOONEST


def _is_unusable(status: Tree) -> bool:
    return text(_spec_valid(status), "reason") in UNUSABLE


def _spec_valid(status: Tree) -> Tree:
    conditions = items(status, "conditions")
    return next((entry for entry in conditions if text(entry, "type") == ConditionType.SPEC_VALID), {})
