"""The use of accelerators, and the starts, added up from the pods that are watched anyway.

What a pod holds is counted from the moment when this process first saw it hold something, on a clock that never jumps.
Counting goes on only while the replica leads, so that the sum over all replicas of the operator counts everything
once. Nothing is kept across a restart: the counters begin at zero, as counters may, and what pods held meanwhile, or
took to start, is lost and never counted twice.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from modelservice_operator.controller.keys import Key
from modelservice_operator.domain import devices_held, is_before_start, start_seconds
from modelservice_operator.engine.cache import ObjectId, Record
from modelservice_operator.kube.resources import MODEL_SERVICE, POD


class UsageMetrics(Protocol):
    """Where the figures go."""

    def held(self, namespace: str, service: str, resource: str, seconds: float) -> None:
        """A service held accelerators for so many seconds, times their number."""

    def released(self, namespace: str, service: str, resource: str) -> None:
        """A service is gone, and so are its figures."""

    def started(self, seconds: float) -> None:
        """A pod became ready so long after it got its node."""


@dataclass
class _Holding:
    """What one pod holds, and up to when that is counted."""

    owner: Key
    devices: Mapping[str, int]
    counted: float


class Usage:
    """Looks at each record of the cache that comes, changes or goes."""

    def __init__(self, metrics: UsageMetrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock = clock
        self._counts = False
        self._holding: dict[ObjectId, _Holding] = {}
        self._starting: dict[ObjectId, str] = {}
        self._told: dict[Key, set[str]] = {}
        self._gone: set[Key] = set()

    def lead(self, leads: bool) -> None:
        """Count from now on, or no longer."""
        self.settle()
        self._counts = leads

    def settle(self) -> None:
        """Count everything up to now."""
        now = self._clock()
        for holding in self._holding.values():
            self._count(holding, now)

    def see(self, record: Record) -> None:
        """Take the newest state of an object."""
        if record.id.kind == MODEL_SERVICE.kind and isinstance(record.parent, Key):
            self._gone.discard(record.parent)
        elif record.id.kind == POD.kind and isinstance(record.parent, Key):
            pod = record.body
            self._see_start(record, pod)
            self._see_devices(record.id, record.parent, devices_held(pod))

    def forget(self, record: Record) -> None:
        """An object is gone."""
        if not isinstance(record.parent, Key):
            return
        if record.id.kind == POD.kind:
            self._starting.pop(record.id, None)
            self._see_devices(record.id, record.parent, {})
        elif record.id.kind == MODEL_SERVICE.kind:
            self._gone.add(record.parent)
        self._release(record.parent)

    def _see_start(self, record: Record, pod: Mapping[str, object]) -> None:
        """A start is counted when its beginning was seen: of a pod that is ready already it has been counted before."""
        if is_before_start(pod):
            self._starting[record.id] = record.uid
        elif self._starting.get(record.id) == record.uid and (took := start_seconds(pod)) is not None:
            del self._starting[record.id]
            if self._counts:
                self._metrics.started(took)

    def _see_devices(self, pod: ObjectId, owner: Key, devices: Mapping[str, int]) -> None:
        now, known = self._clock(), self._holding.pop(pod, None)
        if known is not None:
            self._count(known, now)
        if devices:
            self._holding[pod] = held = _Holding(owner, devices, now)
            self._count(held, now)

    def _count(self, holding: _Holding, now: float) -> None:
        seconds, holding.counted = now - holding.counted, now
        if not self._counts:
            return
        owner = holding.owner
        for resource, devices in holding.devices.items():
            self._told.setdefault(owner, set()).add(resource)
            self._metrics.held(owner.namespace, owner.name, resource, seconds * devices)

    def _release(self, owner: Key) -> None:
        """Drop the figures of a ModelService that is gone once its last pod is."""
        if owner not in self._gone or any(holding.owner == owner for holding in self._holding.values()):
            return
        self._gone.discard(owner)
        for resource in self._told.pop(owner, ()):
            self._metrics.released(owner.namespace, owner.name, resource)
