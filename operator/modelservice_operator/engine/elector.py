"""Leader election on one shared record (a Kubernetes Lease), after client-go's `leaderelection`.

Rules that keep two leaders from ever writing at once, whatever the clocks and the network do:

* Only the local monotonic clock counts. A follower waits for the record to stay *unchanged* for a lease duration as it
  observed it; the timestamps in the record are for people and are never compared.
* Leadership ends `renew_deadline` after the last renewal that was *sent*, not answered, and `is_leader` looks at the
  clock at every call: a process that was stopped and woken up is no leader, even before its own loop has noticed.
* Every call has a timeout of its own below half of the renew deadline, so that an API server that never answers costs
  the leadership like one that refuses.
* A graceful end writes an empty holder, so that the next replica takes over at its next look.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """The shared record.

    `version` is opaque and makes every write conditional; empty when the record does not exist yet.
    """

    holder: str
    duration: int
    acquired: str
    renewed: str
    transitions: int
    version: str = ""


class LeaseStore(Protocol):
    """Where the record lives. Any exception counts as a failed attempt."""

    async def read(self) -> LeaseRecord | None:
        """Return the record, or None when there is none."""

    async def write(self, record: LeaseRecord) -> LeaseRecord:
        """Create or replace the record if its version is still the one given; return it as stored."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. Raises ValueError unless `duration > renew_deadline > 2 * retry_period > 0`."""

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    def __post_init__(self) -> None:
        if not self.duration > self.renew_deadline > 2 * self.retry_period > 0:
            raise ValueError("the lease needs: duration > renew deadline > 2 * retry period > 0")

    @property
    def call_timeout(self) -> float:
        """The longest that one read or write may take."""
        return self.renew_deadline * 0.45


def _timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Elector:
    """Competes for the lease until cancelled, and calls back on every gain and loss."""

    def __init__(
        self,
        store: LeaseStore,
        identity: str,
        timing: Timing,
        on_change: Callable[[bool], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._identity = identity
        self._timing = timing
        self._on_change = on_change
        self._clock = clock
        self._observed: LeaseRecord | None = None
        self._observed_at = 0.0
        self._must_read = True
        self._valid_until = float("-inf")
        self._told = False

    @property
    def is_leader(self) -> bool:
        """Whether this process may write now."""
        return self._clock() < self._valid_until

    async def run(self) -> None:
        """Acquire, renew, lose, acquire again; ends only by cancellation."""
        while True:
            await self.step()
            await asyncio.sleep(self.pause())

    async def step(self) -> None:
        """Make one attempt to acquire or renew, then report a gain or a loss."""
        limit = self._timing.call_timeout
        if self.is_leader:
            limit = min(limit, self._valid_until - self._clock())
        try:
            async with asyncio.timeout(limit):
                await self._attempt()
        except Exception as error:
            self._must_read = True
            log.warning("The lease could not be read or written: %s: %s", type(error).__name__, error)
        self._report()

    def pause(self) -> float:
        """Seconds until the next attempt: a leader renews in time, a follower looks twice as often and wakes at expiry.

        A follower that looks every `retry_period / 2` leads at the latest `duration + retry_period / 2` after the
        leader's last renewal.
        """
        if self.is_leader:
            return min(self._timing.retry_period, self._valid_until - self._clock())
        look = self._timing.retry_period / 2 * random.uniform(0.8, 1.0)  # noqa: S311
        if self._observed is None or self._observed.holder in ("", self._identity):
            return look
        expires_in = self._observed_at + self._observed.duration - self._clock()
        return min(look, expires_in) if expires_in > 0 else look

    async def release(self) -> None:
        """Give the lease up if it is held, so that another replica need not wait; failures are logged only."""
        if not self.is_leader:
            return
        self._valid_until = float("-inf")
        self._report()
        try:
            async with asyncio.timeout(self._timing.call_timeout):
                record = await self._store.read()
                if record is not None and record.holder == self._identity:
                    await self._store.write(replace(record, holder="", duration=1, renewed=_timestamp()))
            log.info("The lease was released")
        except Exception as error:
            log.warning("The lease could not be released: %s: %s", type(error).__name__, error)

    async def _attempt(self) -> None:
        record = self._observed
        if self._must_read or not self.is_leader:
            record = await self._store.read()
            self._observe(record)
        if record is not None and not self._may_take(record):
            self._valid_until = float("-inf")
            return
        sent_at = self._clock()
        stored = await self._store.write(self._claim(record))
        self._observe(stored)
        self._must_read = False
        self._valid_until = sent_at + self._timing.renew_deadline

    def _observe(self, record: LeaseRecord | None) -> None:
        if record != self._observed:
            self._observed, self._observed_at = record, self._clock()

    def _may_take(self, record: LeaseRecord) -> bool:
        if record.holder in ("", self._identity):
            return True
        return self._clock() - self._observed_at >= record.duration

    def _claim(self, record: LeaseRecord | None) -> LeaseRecord:
        now, duration = _timestamp(), round(self._timing.duration)
        if record is None:
            return LeaseRecord(self._identity, duration, now, now, 0)
        if record.holder == self._identity:
            return replace(record, duration=duration, renewed=now)
        return LeaseRecord(self._identity, duration, now, now, record.transitions + 1, record.version)

    def _report(self) -> None:
        leads = self.is_leader
        if leads != self._told:
            self._told = leads
            log.info("Leading" if leads else "No longer leading", extra={"identity": self._identity})
            self._on_change(leads)
