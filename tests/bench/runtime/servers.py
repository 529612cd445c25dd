"""Servers as processes on loopback: started, awaited, frozen while others are measured, and always ended."""

import asyncio
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.bench.runtime.machine import cpu_seconds

START_SECONDS = 180.0
PARENT_DEATH_SIGNAL = 1
IDLE_SPAN, IDLE_SHARE = 0.2, 0.1


class StartError(Exception):
    """A server ended, or did not become ready in time."""


@dataclass(frozen=True, slots=True)
class Command:
    """How to start a server, under which name it knows its model, and the address that answers when it is up."""

    name: str
    arguments: Sequence[str]
    port: int
    ready_path: str
    environment: dict[str, str]
    ready_port: int = 0
    model: str = "bench"


class Server:
    """One running process group and its log."""

    def __init__(self, command: Command, log: Path) -> None:
        self.name = command.name
        self.model = command.model
        self.base = f"http://127.0.0.1:{command.port}"
        self.admin = f"http://127.0.0.1:{command.ready_port or command.port}"
        self._ready_url = self.admin + command.ready_path
        self._log = log
        self.began = time.monotonic()
        self.log_file = log.open("wb")
        self._process = subprocess.Popen(
            command.arguments,
            env={**child_environment(), **command.environment},
            stdin=subprocess.DEVNULL,
            stdout=self.log_file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - the child only calls prctl before exec
        )

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    async def wait_ready(self, seconds: float = START_SECONDS) -> float:
        """Return how long it took from the start. Raises StartError with the log's last lines."""
        return await self.wait_for(self._ready_url, seconds)

    async def wait_for(self, url: str, seconds: float = START_SECONDS) -> float:
        """Poll an address until it answers 200."""
        deadline = time.monotonic() + seconds
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while not await _answers(session, url):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise StartError(f"{self.name} did not become ready; its last words: {self._last_words()}")
                await asyncio.sleep(0.02)
        return time.monotonic() - self.began

    def freeze(self) -> None:
        """Take the CPU away from it."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run again."""
        self._signal(signal.SIGCONT)

    async def wait_idle(self, seconds: float = 10.0) -> float:
        """Return how long it took until the process rests (a tenth of one CPU for a fifth of a second)."""
        began = time.monotonic()
        samples = [(0.0, cpu_seconds(self.pid))]
        while time.monotonic() - began < seconds:
            await asyncio.sleep(0.01)
            samples.append((time.monotonic() - began, cpu_seconds(self.pid)))
            at, used = samples[-1]
            start = max((s for s in samples if s[0] <= at - IDLE_SPAN), default=None)
            if start is not None and used - start[1] < IDLE_SHARE * IDLE_SPAN:
                return start[0]
        return seconds

    def stop(self) -> None:
        """End the whole process group at once; nothing that it holds has to be saved."""
        self._signal(signal.SIGKILL)
        self._process.wait(30)
        self.log_file.close()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    def _last_words(self) -> str:
        return " | ".join(self._log.read_text(errors="replace").splitlines()[-6:])


def child_environment() -> dict[str, str]:
    """Return this environment without limits on threads: some servers obey them and some do not, which is no race."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    return {**kept, "HF_HUB_OFFLINE": "1"}


def die_with_parent() -> None:
    """Have the kernel end the process when this one ends, however that comes."""
    ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
