"""`kubectl modelservice` as a process of its own, as users run it."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import Cluster, binaries

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit status."""

    status: int
    text: str
    errors: str

    @property
    def document(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.text)


@dataclass(frozen=True)
class Plugin:
    """The plugin, for one namespace of a cluster."""

    cluster: Cluster
    namespace: str

    async def run(self, *words: str, given: str = "") -> Answer:
        """Run a command."""
        path = f"{binaries.ensure(['kubectl'])}:{os.environ['PATH']}"
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator"), "PATH": path}
        command = [sys.executable, "-m", "modelservice_operator.cli", *words, "-n", self.namespace]
        command += ["--kubeconfig", str(self.cluster.kubeconfig)]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command,
            "--kubeconfig",
            str(self.cluster.kubeconfig),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=environment,
        )
        text, errors = await process.communicate(given.encode())
        return Answer(process.returncode or 0, text.decode(), errors.decode())
