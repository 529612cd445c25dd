"""The process of the raw loops, asked over its standard input."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bench.runtime.figures import Figures
from tests.bench.runtime.servers import StartError, child_environment, die_with_parent


class RawLoop:
    """A raw loop over one model. Between questions it waits for input, and uses no CPU."""

    def __init__(self, model: Path, dtype: str, kind: str, log: Path, packing: str = "packed") -> None:
        self._log = log
        self._log_file = log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.runtime.raw", str(model), dtype, kind, packing],
            env=child_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log_file,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - the child only calls prctl before exec
        )

    async def wait_ready(self) -> bool:
        """Wait until the model is loaded; tell whether its layers are packed."""
        return bool((await asyncio.to_thread(self._read))["packed"])

    async def measure(self, loop: str, **options: Any) -> Figures:
        """Run one loop of `raw`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"loop": loop, **options}).encode() + b"\n")
        self._process.stdin.flush()
        return await asyncio.to_thread(self._read)

    def stop(self) -> None:
        """End the process."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(30)
        self._log_file.close()

    def _read(self) -> Figures:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            last = self._log.read_text(errors="replace").splitlines()[-3:]
            raise StartError(f"the raw loop ended: {' | '.join(last)}")
        figures: Figures = json.loads(line)
        return figures
