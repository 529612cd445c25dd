"""Progress on standard error: one line for each step with the time it took, so that nobody watches a silent terminal.

Standard output stays free for what a verb answers (`tool`, `kubectl`, `status`), which scripts read.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_BEAT = 10.0


def say(line: str) -> None:
    """Print one line about what is being done, and why where that is not plain."""
    print(f"  {line}", file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Time the block and print the seconds when it ends; a step that fails says so.

    A step longer than ten seconds repeats its line with the time so far, so that a log shows life too.
    """
    started = time.monotonic()
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(_BEAT):
            say(f"{title} ... {time.monotonic() - started:.0f} s")

    ticker = threading.Thread(target=beat, daemon=True)
    ticker.start()
    try:
        yield
    except BaseException:
        say(f"{title}: failed after {time.monotonic() - started:.1f} s")
        raise
    else:
        say(f"{title}: {time.monotonic() - started:.1f} s")
    finally:
        ended.set()
        ticker.join()
