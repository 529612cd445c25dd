"""How long pods have had no requests, from what their admin ports count.

A pod is busy while it computes or has something waiting, and all pods of a service are while the activator has requests
of it. A pod was busy whenever the number of finished calls has changed
since it was last read. A pod that cannot be read is of unknown activity until it can; what it counted meanwhile tells
then. Nothing is kept across a restart of the operator: the time without requests begins anew, which is late and never
early.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from modelservice_operator.api.contract import METRICS_PATH
from modelservice_operator.api.v1alpha1 import RuntimeProfile
from modelservice_operator.controller.keys import Key
from modelservice_operator.domain import server_of
from modelservice_operator.domain.engine_metrics import OURS, metric_names, metrics_page
from modelservice_operator.observability.exposition import Snapshot, total_of
from modelservice_operator.observability.scrape import UNREADABLE, Scraper

log = logging.getLogger(__name__)

LOOKS = 10
"""How often pods are read in the time that they have to be quiet, within the bounds that follow, in seconds."""
SHORTEST, LONGEST = 0.5, 15.0
STALE = 3
"""After how many looks without an answer what a pod said counts no more."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What pods tell of requests: a counter that grows with each, and gauges of those that are under way.

    Port 0 is the runtime's admin port.
    """

    finished: str = OURS.calls
    under_way: tuple[str, ...] = (OURS.running, OURS.queued)
    port: int = 0
    path: str = METRICS_PATH


RUNTIME = Signals()


@dataclass(frozen=True, slots=True)
class Tally:
    """One pod: how many calls it had finished when it was read, at `read`, and since when it has been quiet."""

    finished: float
    since: float
    read: float


@dataclass
class _Followed:
    """One ModelService: how long it has to be quiet, its pods' addresses by uid, and whether the activator answers."""

    seconds: float
    pods: Mapping[str, str]
    signals: Signals
    tallies: dict[str, Tally] = field(default_factory=dict)
    is_told: bool = True
    task: "asyncio.Task[None] | None" = None

    @property
    def pause(self) -> float:
        """Seconds between two looks."""
        return min(LONGEST, max(SHORTEST, self.seconds / LOOKS))


class Activity:
    """Reads the pods of the ModelServices that are followed.

    `on_quiet` is called whenever one has been quiet for its time. `is_held` says whether the activator has requests of
    one, None when that is not known. While `may_read` says no, as on a replica that does
    not lead, nothing is read.
    """

    def __init__(
        self,
        on_quiet: Callable[[Key], None],
        may_read: Callable[[], bool],
        scraper: Scraper,
        is_held: Callable[[Key], Awaitable[bool | None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_quiet = on_quiet
        self._may_read = may_read
        self.scraper = scraper
        self._is_held = is_held
        self._clock = clock
        self._followed: dict[Key, _Followed] = {}

    def follow(self, key: Key, seconds: float, pods: Mapping[str, str], signals: Signals = RUNTIME) -> float | None:
        """Go on reading these pods (addresses by uid); return for how long all have been quiet, None if not known."""
        known = self._followed.setdefault(key, _Followed(seconds, pods, signals))
        known.seconds, known.pods, known.signals = seconds, dict(pods), signals
        known.tallies = {uid: tally for uid, tally in known.tallies.items() if uid in pods}
        if known.task is None:
            known.task = asyncio.create_task(self._watch(key, known), name=f"activity-{key}")
        return self._quiet(known)

    def forget(self, key: Key) -> None:
        """Stop reading the pods of a ModelService."""
        known = self._followed.pop(key, None)
        if known is not None and known.task is not None:
            known.task.cancel()

    async def close(self) -> None:
        """Stop reading."""
        for key in list(self._followed):
            self.forget(key)

    async def _watch(self, key: Key, known: _Followed) -> None:
        while True:
            if self._may_read():
                await asyncio.gather(*(self._look(known, *pod) for pod in known.pods.items()))
                await self._look_elsewhere(key, known)
                quiet = self._quiet(known)
                if quiet is not None and quiet >= known.seconds:
                    self._on_quiet(key)
            await asyncio.sleep(known.pause)

    async def _look(self, known: _Followed, uid: str, address: str) -> None:
        signals = known.signals
        try:
            said = await self.scraper.metrics(address, signals.port, signals.path)
        except UNREADABLE as error:
            log.debug("Pod %s does not say what it does: %s: %s", uid, type(error).__name__, error)
            return
        tally = count(known.tallies.get(uid), said, self._clock(), signals)
        if tally is not None and uid in known.pods:
            known.tallies[uid] = tally

    async def _look_elsewhere(self, key: Key, known: _Followed) -> None:
        is_held = await self._is_held(key)
        known.is_told = is_held is not None
        if is_held:
            now = self._clock()
            known.tallies = {uid: replace(tally, since=now, read=now) for uid, tally in known.tallies.items()}

    def _quiet(self, known: _Followed) -> float | None:
        oldest = self._clock() - STALE * known.pause
        tallies = [known.tallies.get(uid) for uid in known.pods]
        fresh = [tally for tally in tallies if tally is not None and tally.read >= oldest]
        if len(fresh) < len(tallies) or not known.is_told:
            return None
        return min((tally.read - tally.since for tally in fresh), default=None)


def signals_of(profile: RuntimeProfile | None) -> Signals:
    """Where and under which names the pods of a profile's server tell of requests."""
    page, names = metrics_page(server_of(profile)), metric_names(profile)
    if names.is_ours or page is None:
        return RUNTIME
    return Signals(names.tokens, (names.running, names.queued), page.port, page.path)


def count(known: Tally | None, said: Snapshot, now: float, signals: Signals = RUNTIME) -> Tally | None:
    """The tally of a pod after a reading; None when the pod does not tell what it would take."""
    finished = total_of(said, signals.finished, {})
    under_way = [total_of(said, name, {}) for name in signals.under_way]
    if finished is None or None in under_way:
        return None
    is_quiet = known is not None and known.finished == finished and not any(under_way)
    return Tally(finished, known.since if known is not None and is_quiet else now, now)
