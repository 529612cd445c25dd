"""`kubectl modelservice` as a process of its own, as users run it."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

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
    """The plugin, for one namespace of a cluster, as its administrator or with another kubeconfig."""

    cluster: Cluster
    namespace: str
    kubeconfig: Path | None = None

    async def run(self, *words: str, given: str = "") -> Answer:
        """Run a command."""
        path = f"{binaries.ensure(['kubectl'])}:{os.environ['PATH']}"
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator"), "PATH": path}
        command = [sys.executable, "-m", "modelservice_operator.cli", *words, "-n", self.namespace]
        command += ["--kubeconfig", str(self.kubeconfig or self.cluster.kubeconfig)]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
        text, errors = await process.communicate(given.encode())
        return Answer(process.returncode or 0, text.decode(), errors.decode())


def limited_kubeconfig(cluster: Cluster, namespace: str, folder: Path, verbs: str, resources: str) -> Path:
    """The kubeconfig of an account that may do `verbs` with `resources` in the namespace, and nothing else."""

    def kubectl(*words: str) -> str:
        return cluster.kubectl("-n", namespace, *words)

    kubectl("create", "serviceaccount", "limited")
    kubectl("create", "role", "limited", f"--verb={verbs}", f"--resource={resources}")
    kubectl("create", "rolebinding", "limited", "--role=limited", f"--serviceaccount={namespace}:limited")
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"] = [{"name": "limited", "user": {"token": kubectl("create", "token", "limited").strip()}}]
    for entry in config["contexts"]:
        entry["context"]["user"] = "limited"
    path = folder / "limited.yaml"
    path.write_text(yaml.safe_dump(config))
    return path
