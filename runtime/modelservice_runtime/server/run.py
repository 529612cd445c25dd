"""The entry point of `modelservice-runtime serve`: the event loop, the signals, and the exit code."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable

import uvloop

from modelservice_runtime.config import Settings
from modelservice_runtime.engine.spinning import limit_spinning
from modelservice_runtime.errors import ExitCode
from modelservice_runtime.server.garbage import exempt_what_is_there, suspend_search
from modelservice_runtime.server.process import ServerProcess

logger = logging.getLogger(__name__)


def serve(settings: Settings, announce: Callable[[str], None] = lambda _: None) -> int:
    """Serve until a signal ends the process; return 0. Raises RuntimeFault when it cannot go on.

    SIGTERM drains, a second one cancels what still runs; SIGINT (a person at a terminal) cancels at once. `announce` is
    told the address of the pages.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    limit_spinning(os.environ)
    uvloop.run(_run(settings, announce))
    return int(ExitCode.DONE)


async def _run(settings: Settings, announce: Callable[[str], None]) -> None:
    suspend_search()
    process = ServerProcess(settings, announce, exempt_what_is_there)

    def on_signal(number: signal.Signals) -> None:
        logger.info("signal received", extra={"signal": number.name})
        process.stop(hurry=number == signal.SIGINT)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    await process.run()
