"""Operators as processes of their own, against a real API server, and what the API server's audit log says they did."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster, ClusterError
from tests.support.polling import wait_until
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
WRITES = ("create", "update", "patch", "delete", "deletecollection")


@dataclass
class OperatorProcess:
    """`modelservice-operator run` with its log in a file."""

    kubeconfig: Path
    log: Path
    identity: str
    flags: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> "OperatorProcess":
        """Start and wait until it is ready."""
        command = [sys.executable, "-m", "modelservice_operator", "run", "--kubeconfig", str(self.kubeconfig)]
        command += ["--identity", self.identity, "--listen-port", str(self.port), *self.flags]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env=environment)
        self.wait(self.is_ready, "the operator is ready", 30)
        return self

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
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        values = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "VmHWM"))}
        return int(values["VmRSS"]) / 1024, int(values["VmHWM"]) / 1024

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


@dataclass
class Audit:
    """The part of the API server's audit log from `mark` on."""

    path: Path
    offset: int = 0

    def mark(self) -> "Audit":
        """Forget everything up to now."""
        self.offset = self.path.stat().st_size if self.path.exists() else 0
        return self

    def writes(self) -> list[dict[str, Any]]:
        """The successful writes of operators since the mark, leases apart."""
        return [event for event in self._events() if _is_operators_write(event)]

    def _events(self) -> Iterator[dict[str, Any]]:
        with self.path.open("rb") as log:
            log.seek(self.offset)
            for line in log.read().splitlines():
                if line.endswith(b"}"):
                    yield json.loads(line)


def describe(events: list[dict[str, Any]]) -> list[str]:
    """Verb, resource and name of audit events, for messages."""
    return [
        f"{e['verb']} {e['objectRef']['resource']}/{e['objectRef'].get('subresource', '')} {e['objectRef'].get('name')}"
        for e in events
    ]


def _is_operators_write(event: dict[str, Any]) -> bool:
    reference = event.get("objectRef") or {}
    return (
        event.get("stage") == "ResponseComplete"
        and event["verb"] in WRITES
        and str(event.get("userAgent", "")).startswith("modelservice-operator/")
        and reference.get("resource") != "leases"
        and 200 <= event.get("responseStatus", {}).get("code", 0) < 300
    )


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
