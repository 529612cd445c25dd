"""Which port of the activator stands for which ModelService.

The port is written into the EndpointSlice that leads to the activator, which lives as long as its ModelService may go
to zero, so nothing else has to remember it. Should two services have one port, because two operators led for a moment,
the older slice keeps it.
"""

import logging
import zlib
from collections.abc import Mapping
from typing import Any

from modelservice_operator.api.kinds import ENDPOINT_SLICE
from modelservice_operator.controller.keys import Key
from modelservice_operator.engine.cache import Cache

log = logging.getLogger(__name__)


class Ports:
    """`count` ports from `first` on; the slices are read from the cache."""

    def __init__(self, cache: Cache, first: int, count: int) -> None:
        self._cache = cache
        self._range = range(first, first + count)
        self._promised: dict[Key, int] = {}

    def of(self, key: Key) -> int:
        """The port of a ModelService; 0 when none is left."""
        return self._promised.get(key) or self._choose(key)

    def forget(self, key: Key) -> None:
        """The ModelService is gone."""
        self._promised.pop(key, None)

    def _choose(self, key: Key) -> int:
        """The port that its slice has, or else one that nobody has."""
        taken = self._taken()
        mine = next((port for port, owner in taken.items() if owner == key), 0)
        if not mine:
            owners = {port: owner for owner, port in self._promised.items()} | taken
            mine = next((port for port in self._from(key) if port not in owners), 0)
        if mine:
            self._promised[key] = mine
        else:
            log.error("The activator has no port left for %s; it needs more than %d", key, len(self._range))
        return mine

    def _from(self, key: Key) -> list[int]:
        """All ports, in an order of the key's own: a port that became free is not the first to be given away."""
        start = zlib.crc32(str(key).encode()) % len(self._range)
        return [*self._range[start:], *self._range[:start]]

    def _taken(self) -> dict[int, Key]:
        """The owner of each port that a slice has."""
        records = self._cache.of_kind(ENDPOINT_SLICE.kind)
        claims = ((record.parent, record.body) for record in records if isinstance(record.parent, Key))
        owners: dict[int, Key] = {}
        for owner, body in sorted(claims, key=_age_key):
            port = _port_of(body)
            if port in self._range:
                owners.setdefault(port, owner)
        return owners


def _age_key(claim: tuple[Key, Mapping[str, Any]]) -> tuple[str, Key]:
    owner, body = claim
    return str(body["metadata"].get("creationTimestamp", "")), owner


def _port_of(body: Mapping[str, Any]) -> int:
    ports: list[dict[str, Any]] = body.get("ports") or []
    return int(ports[0].get("port") or 0) if ports else 0
