"""A gate that is open only while every one of its named conditions holds (leader, synced, not draining)."""

import asyncio
from collections.abc import Iterable


class Gate:
    """Closed until all conditions were set to true; closes as soon as one turns false."""

    def __init__(self, conditions: Iterable[str]) -> None:
        self._held = dict.fromkeys(conditions, False)
        self._open = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether every condition holds now."""
        return self._open.is_set()

    def holds(self, condition: str) -> bool:
        """Whether one condition holds now."""
        return self._held[condition]

    def set(self, condition: str, holds: bool) -> None:
        """Change one condition; raises KeyError for a name that the gate was not made with."""
        if condition not in self._held:
            raise KeyError(condition)
        self._held[condition] = holds
        if all(self._held.values()):
            self._open.set()
        else:
            self._open.clear()

    async def wait(self) -> None:
        """Wait until the gate is open."""
        await self._open.wait()
