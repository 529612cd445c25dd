"""Where requests wait for a pod: bounded in number and time, first come first served.

A pod that has just become ready is not given everything at once: so many requests at a time, the others go on
waiting, and each answer lets in the next. A pod to which no connection could be made is left alone for a moment.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

from modelservice_operator.activator.directory import Directory, Service, Target

SHUN_SECONDS: Final = 1.0

Why = Literal["full", "late", "gone", "ending"]


class Refused(Exception):  # noqa: N818
    """The request cannot wait, or has waited in vain; `why` is one word, the message says what to do."""

    def __init__(self, why: Why, message: str) -> None:
        super().__init__(message)
        self.why = why


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many requests may wait, for one service and for all, and how many a pod is given at a time."""

    held: int
    held_in_all: int
    at_once: int


@dataclass
class Line:
    """One service: who waits, the pods' requests under way, and until when some pods are left alone."""

    waiting: "deque[asyncio.Future[Target]]" = field(default_factory=deque)
    load: dict[Target, int] = field(default_factory=dict)
    shunned: dict[Target, float] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits and nothing is under way."""
        return not self.waiting and not self.load

    def avoided(self, now: float) -> set[Target]:
        """The pods that are left alone at this time."""
        self.shunned = {target: until for target, until in self.shunned.items() if until > now}
        return set(self.shunned)

    def take(self, target: Target) -> Target:
        """Take a place in a pod."""
        self.load[target] = self.load.get(target, 0) + 1
        return target

    def release(self, target: Target) -> None:
        """Give a place in a pod back."""
        self.load[target] -= 1
        if not self.load[target]:
            del self.load[target]


class Hall:
    """The lines of all services. `on_wait` is called whenever somebody has to wait. Lives on one event loop."""

    def __init__(
        self,
        directory: Directory,
        on_wait: Callable[[Service], None],
        bounds: Bounds,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._on_wait = on_wait
        self._bounds = bounds
        self._clock = clock
        self._lines: dict[Service, Line] = {}
        self._is_ending = False
        self._ended = asyncio.Event()

    async def emptied(self) -> None:
        """Return when nobody waits and nothing is under way."""
        while self.busy():
            self._ended.clear()
            await self._ended.wait()

    def held(self, service: Service) -> int:
        """How many requests of a service wait."""
        line = self._lines.get(service)
        return len(line.waiting) if line else 0

    def busy(self) -> Mapping[Service, tuple[int, int]]:
        """The services with requests: how many wait, and how many are being answered."""
        lines = {service: line for service, line in self._lines.items() if not line.is_empty}
        return {service: (len(line.waiting), sum(line.load.values())) for service, line in lines.items()}

    @asynccontextmanager
    async def turn(self, service: Service, deadline: float) -> AsyncIterator[Target]:
        """Wait for a pod, at most until `deadline` of the clock, and keep a place in it for the block.

        Raises Refused.
        """
        target = await self._target(service, deadline)
        line = self._lines[service]
        try:
            yield target
        finally:
            line.release(target)
            self._ended.set()
            self.advance(service)

    def shun(self, service: Service, target: Target) -> None:
        """No connection could be made to a pod: leave it alone for a moment."""
        self._lines[service].shunned[target] = self._clock() + SHUN_SECONDS
        asyncio.get_running_loop().call_later(SHUN_SECONDS, self.advance, service)

    def advance(self, service: Service) -> None:
        """Let in whom the pods have places for, or turn all away from a service that is gone."""
        line = self._lines.get(service)
        if line is None:
            return
        while line.waiting and (target := self._free(service, line)) is not None:
            future = line.waiting.popleft()
            if not future.done():
                future.set_result(line.take(target))
        if not self._directory.is_known(service):
            _turn_away(line, Refused("gone", f"{service} is not served any more, or not from zero; ask again"))
        if line.is_empty and not line.avoided(self._clock()):
            del self._lines[service]

    def end(self) -> None:
        """Turn everybody away: the process ends."""
        self._is_ending = True
        for line in self._lines.values():
            _turn_away(line, Refused("ending", "the activator's pod ends; ask again"))

    async def _target(self, service: Service, deadline: float) -> Target:
        line = self._lines.setdefault(service, Line())
        if not line.waiting and (target := self._free(service, line)) is not None:
            return line.take(target)
        if self._is_ending:
            raise Refused("ending", "the activator's pod ends; ask again")
        if len(line.waiting) >= self._bounds.held:
            raise Refused("full", f"{self._bounds.held} requests wait for {service} already; ask again later")
        if sum(len(each.waiting) for each in self._lines.values()) >= self._bounds.held_in_all:
            raise Refused("full", f"{self._bounds.held_in_all} requests wait here already; ask again later")
        return await self._wait(service, line, deadline)

    async def _wait(self, service: Service, line: Line, deadline: float) -> Target:
        future: asyncio.Future[Target] = asyncio.get_running_loop().create_future()
        line.waiting.append(future)
        self._on_wait(service)
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock())):
                return await future
        except BaseException as error:
            self._leave(service, line, future)
            if isinstance(error, TimeoutError):
                raise Refused("late", f"no pod of {service} has become ready in time; ask again later") from None
            raise

    def _leave(self, service: Service, line: Line, future: "asyncio.Future[Target]") -> None:
        """Give up a place in the line, or the place in a pod that was given at that very moment."""
        if future.done() and not future.cancelled() and future.exception() is None:
            line.release(future.result())
        elif future in line.waiting:
            line.waiting.remove(future)
        self._ended.set()
        self.advance(service)

    def _free(self, service: Service, line: Line) -> Target | None:
        """The pod with the fewest requests of those that have a place and are not left alone."""
        avoided = line.avoided(self._clock())
        ready = [target for target in self._directory.targets(service) if target not in avoided]
        best = min(ready, key=lambda target: line.load.get(target, 0), default=None)
        return best if best is not None and line.load.get(best, 0) < self._bounds.at_once else None


def _turn_away(line: Line, refusal: Refused) -> None:
    while line.waiting:
        future = line.waiting.popleft()
        if not future.done():
            future.set_exception(Refused(refusal.why, str(refusal)))
