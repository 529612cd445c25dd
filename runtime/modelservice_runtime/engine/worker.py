"""The one thread on which torch lives.

OpenMP keeps a pool of workers per calling thread. If two threads of a process ever run a parallel region, libgomp sees
more workers than processors, stops spinning and every step gets 30 to 60 % slower. So importing, loading, warming up
and every forward pass happen here and nowhere else; the event loop talks to the thread through tickets.

The thread beats its heart once per step. Liveness reads the age of the last beat: a hung kernel shows, a busy engine
does not.
"""

import threading
import time
from collections.abc import Callable
from typing import Protocol

IDLE_SECONDS = 1.0


class Steps(Protocol):
    """What the thread runs in a loop."""

    def step(self) -> bool:
        """Do one unit of work; False when there is nothing to do."""


class TorchThread:
    """Prepares an engine on its own thread, then steps it until told to stop.

    `prepare` imports torch, loads the model and returns what is to be stepped. `on_ready` and `on_fault` are called on
    this thread, once at most; after `on_fault` the thread is over.
    """

    def __init__(
        self,
        prepare: Callable[[], Steps],
        on_ready: Callable[[], None],
        on_fault: Callable[[BaseException], None],
    ) -> None:
        self._prepare = prepare
        self._on_ready = on_ready
        self._on_fault = on_fault
        self._wake = threading.Event()
        self._stopping = False
        self._last_beat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="torch", daemon=True)

    def start(self) -> None:
        """Start the thread; returns at once."""
        self._thread.start()

    def wake(self) -> None:
        """Tell the thread that there is work; any thread."""
        self._wake.set()

    def stop(self, timeout: float) -> bool:
        """Ask the thread to end after its current step and wait for it; False when it did not end in time."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._thread.ident is not None

    @property
    def heartbeat_age(self) -> float:
        """Seconds since the last beat."""
        return time.monotonic() - self._last_beat

    def _run(self) -> None:
        try:
            steps = self._prepare()
            self._last_beat = time.monotonic()
            self._on_ready()
            while not self._stopping:
                self._last_beat = time.monotonic()
                if not steps.step():
                    self._wake.wait(IDLE_SECONDS)
                self._wake.clear()
        except BaseException as error:  # the thread has no caller: whatever ended it is handed to the process
            self._on_fault(error)
