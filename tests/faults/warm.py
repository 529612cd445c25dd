"""Operators that start in a tenth of a second: forked from a process that has imported everything and started nothing.

A fault test kills and starts operators by the dozen; importing would be most of its time. What runs is the operator's
own command line in a process of its own, as in a pod.
"""

import multiprocessing
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess

from tests.support.operators import OperatorProcess

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["modelservice_operator.app", "modelservice_operator.__main__"])


def _run(log: str, words: Sequence[str]) -> None:
    """The new process: write to the log, and be the operator."""
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    from modelservice_operator.__main__ import main  # noqa: PLC0415  (loaded by the fork server)

    sys.exit(main(words))


@dataclass
class _Handle:
    """What is used of `subprocess.Popen`."""

    process: BaseProcess

    @property
    def pid(self) -> int:
        return self.process.pid or 0

    def kill(self) -> None:
        self.process.kill()

    def send_signal(self, sig: int) -> None:
        os.kill(self.pid, sig)

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self.process.join(timeout)
        if self.process.exitcode is None:
            raise TimeoutError(f"the operator did not end in {timeout} s")
        return self.process.exitcode


class WarmOperator(OperatorProcess):
    """An operator from the fork server."""

    def spawn(self, words: Sequence[str]) -> _Handle:
        """Start the process."""
        process = _CONTEXT.Process(target=_run, args=(str(self.log), list(words)), daemon=True)
        process.start()
        return _Handle(process)
