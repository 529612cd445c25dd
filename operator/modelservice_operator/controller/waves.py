"""Whose turn it is to replace pods, where a RuntimeProfile lets its services do so a few at a time.

Which services are at it is read from their Deployments, so a restarted operator goes on with the same ones, and one
that does not get ready keeps the others from following. A turn that was given is remembered until the Deployment in the
cache can show it.
"""

import time
from collections.abc import Callable
from typing import Final

from modelservice_operator.api.kinds import DEPLOYMENT
from modelservice_operator.api.v1alpha1 import RuntimeProfile
from modelservice_operator.controller.keys import Key
from modelservice_operator.controller.observe import Observation, profile_of
from modelservice_operator.domain import SpecError, is_taking, read_service
from modelservice_operator.engine.cache import Cache

_SHOWN_SECONDS: Final = 10.0
"""How long it takes at most until the cache shows a Deployment as it was applied."""
_SEEN_SECONDS: Final = 5.0
"""How long what was read from all Deployments is good for; what is given meanwhile is remembered for longer."""


class Waves:
    """Gives turns. `clock` returns seconds."""

    def __init__(self, cache: Cache, clock: Callable[[], float] = time.monotonic) -> None:
        self._cache = cache
        self._clock = clock
        self._given: dict[Key, tuple[str, float]] = {}
        self._seen: dict[str, tuple[frozenset[Key], float]] = {}

    def has_turn(self, seen: Observation) -> bool:
        """Whether the service may replace its pods now; if so, it counts as one that does."""
        profile = seen.profile
        if profile is None:
            return False
        now, name = self._clock(), profile.metadata.name
        self._given = {key: given for key, given in self._given.items() if given[1] > now - _SHOWN_SECONDS}
        busy = {key for key, (theirs, _) in self._given.items() if theirs == name} | self._taking(profile)
        if len(busy - {seen.key}) >= (profile.spec.updates.max_services or 1):
            return False
        self._given[seen.key] = name, now
        return True

    def forget(self, key: Key) -> None:
        """The ModelService is gone."""
        self._given.pop(key, None)

    def _taking(self, profile: RuntimeProfile) -> frozenset[Key]:
        """The services of a profile whose turn came and that are not ready yet, as they were seen a moment ago."""
        name, now = profile.metadata.name, self._clock()
        known = self._seen.get(name)
        if known is not None and known[1] > now - _SEEN_SECONDS:
            return known[0]
        deployments = ((record.parent, record.body) for record in self._cache.of_kind(DEPLOYMENT.kind))
        keys = (key for key, body in deployments if isinstance(key, Key) and is_taking(body))
        found = frozenset(key for key in keys if self._uses(key, profile))
        self._seen[name] = found, now
        return found

    def _uses(self, key: Key, profile: RuntimeProfile) -> bool:
        record = self._cache.get(key.id)
        try:
            theirs = profile_of(self._cache, read_service(record.body)) if record is not None else None
        except SpecError:
            return False
        return theirs is not None and theirs.metadata.name == profile.metadata.name
