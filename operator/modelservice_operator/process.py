"""What every process of the operator begins and ends with: logs, an event loop, and a login to the cluster."""

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import uvloop

from modelservice_operator.kube.client import Login
from modelservice_operator.observability.logs import configure_logs

log = logging.getLogger(__name__)

EXIT_CANNOT_START: Final = 69
CLOSE_SECONDS: Final = 10.0
"""How long tasks that were told to end may take; a stream that does not would keep the process from being replaced."""


def run_in_cluster(kubeconfig: Path | None, log_level: str, work: Callable[[Login], Awaitable[int]]) -> int:
    """Log in, do the work and log out; return its exit status, or EXIT_CANNOT_START when there is no login."""
    configure_logs(log_level)
    with ExitStack() as stack, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        status = runner.run(_logged_in(kubeconfig, work))
        last_resort = threading.Timer(CLOSE_SECONDS, os._exit, (status,))
        stack.callback(last_resort.cancel)
        last_resort.start()
    return status


async def _logged_in(kubeconfig: Path | None, work: Callable[[Login], Awaitable[int]]) -> int:
    try:
        login = await Login.load(kubeconfig, os.environ)
    except Exception as error:
        log.error("Cannot log in to a cluster: %s. Give --kubeconfig, or run in a pod with a service account", error)
        return EXIT_CANNOT_START
    try:
        return await work(login)
    finally:
        login.close()
