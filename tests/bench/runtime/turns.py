"""A, B, A, B: contenders measured in turns, so that what the machine does meanwhile meets them all alike."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tests.bench.runtime.figures import Figures
from tests.bench.runtime.machine import Foreign
from tests.bench.runtime.servers import Server


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody to measure; all of its processes but those of the one whose turn it is are frozen."""

    name: str
    measure: Callable[[], Awaitable[Figures]]
    server: Server | None = None


class Turns:
    """What each contender measured, round by round."""

    def __init__(self, note: str, measured: dict[str, list[Figures]]) -> None:
        self.note = note
        self._measured = measured

    def of(self, contender: str, figure: str) -> list[float]:
        """Return one figure of one contender, round by round."""
        return [figures[figure] for figures in self._measured[contender]]


async def take_turns(contenders: Sequence[Contender], rounds: int, foreign: Foreign) -> Turns:
    """Measure every contender once a round."""
    measured: dict[str, list[Figures]] = {contender.name: [] for contender in contenders}
    first = len(foreign.shares)
    servers = {id(c.server): c.server for c in contenders if c.server is not None}
    for server in servers.values():
        server.freeze()
    try:
        for _ in range(rounds):
            for contender in contenders:
                measured[contender.name].append(await _turn(contender, foreign))
    finally:
        for server in servers.values():
            server.thaw()
    return Turns(foreign.note(first), measured)


async def _turn(contender: Contender, foreign: Foreign) -> Figures:
    """Measure once. A server is frozen only when it rests: one that times its steps would take that for a step."""
    if contender.server is not None:
        contender.server.thaw()
    try:
        with foreign.watch():
            return await contender.measure()
    finally:
        if contender.server is not None:
            await contender.server.wait_idle()
            contender.server.freeze()
