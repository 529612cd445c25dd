"""What the areas share: the options, the folder for logs, servers that end with the block, and progress."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.bench.runtime.machine import Foreign, has_bfloat16
from tests.bench.runtime.raw_process import RawLoop
from tests.bench.runtime.servers import Command, Server, child_environment, die_with_parent


class Bench:
    """One run of the benchmark."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self.quick = quick
        self.rounds = 2 if quick else 3
        self.seconds = 3.0 if quick else 15.0
        self.foreign = Foreign()
        self.fast_dtype = "bfloat16" if has_bfloat16() else "float32"
        self._folder = folder
        self._began = time.monotonic()
        self._logs = 0

    def say(self, words: str) -> None:
        """Tell how far it is."""
        print(f"[{time.monotonic() - self._began:5.0f} s] {words}", file=sys.stderr, flush=True)

    @asynccontextmanager
    async def serving(self, command: Command) -> AsyncIterator[Server]:
        """Run a server for a block."""
        server = Server(command, self._log(command.name))
        try:
            took = await server.wait_ready()
            self.say(f"  {command.name} is ready after {took:.1f} s")
            yield server
        finally:
            server.stop()

    @asynccontextmanager
    async def starting(self, command: Command) -> AsyncIterator[Server]:
        """Start a server, without waiting for it, for a block."""
        server = Server(command, self._log(command.name))
        try:
            yield server
        finally:
            server.stop()

    @asynccontextmanager
    async def raw(self, model: Path, dtype: str, kind: str) -> AsyncIterator[RawLoop]:
        """Run a raw packed loop for a block."""
        loop = RawLoop(model, dtype, kind, self._log("raw"))
        try:
            if not await loop.wait_ready():
                self.say(f"  this CPU cannot pack {dtype}: the raw loop runs plain linear layers")
            yield loop
        finally:
            loop.stop()

    async def ask(self, module: str, *arguments: str) -> Any:
        """Run a module of Python in a process of its own; return what it wrote as JSON. Raises RuntimeError."""
        with self._log(module.rsplit(".", 1)[-1]).open("w+b") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, *arguments,
                env=child_environment(), stdout=asyncio.subprocess.PIPE, stderr=log, preexec_fn=die_with_parent,
            )  # fmt: skip
            output, _ = await process.communicate()
            if process.returncode:
                log.seek(0)
                raise RuntimeError(f"{module} failed: {log.read().decode(errors='replace')[-500:]}")
        return json.loads(output)

    def _log(self, name: str) -> Path:
        self._logs += 1
        return self._folder / f"{self._logs:02}-{name.replace(' ', '-')}.log"
