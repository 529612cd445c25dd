"""Operators as processes of their own, against a real API server, and what the API server's audit log says they did."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from tests.cluster import Cluster, ClusterError
from tests.support.audit import Audit
from tests.support.polling import wait_until
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]


class Running(Protocol):
    """What is used of `subprocess.Popen`."""

    @property
    def pid(self) -> int:
        """The process's id."""

    def kill(self) -> None:
        """End it without warning."""

    def send_signal(self, sig: int) -> None:
        """Send a signal."""

    def poll(self) -> int | None:
        """The exit status; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit status."""


@dataclass
class OperatorProcess:
    """`modelservice-operator run` with its log in a file."""

    kubeconfig: Path
    log: Path
    identity: str
    flags: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: "Running | None" = None

    def start(self) -> "OperatorProcess":
        """Start and wait until it is ready."""
        self.launch()
        self.wait(self.is_ready, "the operator is ready", 30)
        return self

    def launch(self) -> None:
        """Start, and wait for nothing."""
        words = ["run", "--kubeconfig", str(self.kubeconfig)]
        words += ["--identity", self.identity, "--listen-port", str(self.port), *self.flags]
        self.process = self.spawn(words)

    def spawn(self, words: Sequence[str]) -> "Running":
        """Start the process with these words of the command line."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "modelservice_operator", *words]
            return subprocess.Popen(command, stderr=log, stdout=log, env=environment)

    def wait(self, condition: Callable[[], object], what: str, seconds: float = 10.0) -> None:
        """Wait for something; a failure shows the end of the log."""
        try:
            wait_until(condition, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()[-4000:]}") from None

    def is_ready(self) -> bool:
        """Whether `/readyz` says so."""
        return self.get("/readyz")[0] == 200

    def leads(self) -> bool:
        """Whether it holds the lease."""
        return self.metric("modelservice_operator_leader") == 1.0

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of one of its pages; 0 when it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, series: str) -> float:
        """The value of one series, with its labels as shown; 0 when there is none."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(series + " "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def memory(self) -> tuple[float, float]:
        """Resident memory now and at its highest, in MiB."""
        assert self.process is not None
        return memory_of(self.process.pid)

    def kill(self) -> None:
        """End it without warning."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self, seconds: float = 30.0) -> int:
        """Ask it to end, and return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def close(self) -> None:
        """End it if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.kill()


class Operators:
    """Starts operators for one test and ends them after it."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self.started: list[OperatorProcess] = []
        self.lease = f"operator-{uuid.uuid4().hex[:8]}"
        self.audit = Audit(cluster.audit_log)

    def start(self, *flags: str, identity: str = "") -> OperatorProcess:
        """Start one more operator and wait until it is ready."""
        identity = identity or f"operator-{len(self.started)}"
        flags = ("--lease-name", self.lease, *flags)
        process = OperatorProcess(self._cluster.kubeconfig, self._folder / f"{identity}.log", identity, flags)
        self.started.append(process)
        return process.start()

    def start_leader(self, *flags: str) -> OperatorProcess:
        """Start one and wait until it leads."""
        process = self.start(*flags)
        process.wait(process.leads, "the operator leads", 20)
        return process

    def close(self) -> None:
        """End all of them."""
        for process in self.started:
            process.close()


def memory_of(pid: int) -> tuple[float, float]:
    """Resident memory of a process now and at its highest, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return int(values["VmRSS"]) / 1024, int(values["VmHWM"]) / 1024


def install_crds(cluster: Cluster) -> None:
    """Install our own CRDs."""
    files = [str(path) for path in sorted((ROOT / "crds").glob("*.yaml"))]
    cluster.kubectl("apply", "--server-side", *[part for file in files for part in ("-f", file)])
    served = "/apis/modelservice.dev/v1alpha1"
    wait_until(lambda: _answers(cluster, served), "our kinds are served", 30)


def _answers(cluster: Cluster, path: str) -> bool:
    try:
        return "runtimeprofiles" in cluster.kubectl("get", "--raw", path)
    except ClusterError:
        return False


@pytest.fixture(scope="session")
def served_control_plane(control_plane: Cluster) -> Cluster:
    """The control plane with our CRDs."""
    install_crds(control_plane)
    return control_plane


@pytest.fixture
def operators(served_control_plane: Cluster, tmp_path: Path) -> Iterator[Operators]:
    """Operators of one test."""
    operators = Operators(served_control_plane, tmp_path)
    yield operators
    operators.close()
