"""What is measured: an operator, the objects that people give it, and the kinds of children that it makes of them."""

import json
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil
import yaml

from modelservice_operator.kube.resources import Resource
from modelservice_operator.observability.metrics import PREFIX
from tests.cluster import Cluster
from tests.support.account import NAMESPACE
from tests.support.operators import OperatorProcess, memory_of

Body = dict[str, Any]

TEMPLATE = Path(__file__).with_name("modelservice.yaml")
CHILDREN = ("v1/serviceaccounts", "apps/v1/deployments", "v1/services")
"""What the template asks our operator for."""
HOT = '{"spec": {"network": {"service": {"annotations": {"example.com/tick": "TICK"}}}}}'


@dataclass(frozen=True)
class Subject:
    """`hot` is a merge patch for one object, with TICK where each update differs; `command` is empty for our own."""

    template: Body
    owner: Resource
    children: tuple[Resource, ...]
    hot: str
    command: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether what only our operator tells can be asked for."""
        return not self.command

    def make(self, namespace: str, name: str, **spec: Any) -> Body:
        """An object to create; keywords replace the blocks of the template's spec, and None takes one away."""
        metadata = {**self.template.get("metadata", {}), "namespace": namespace, "name": name}
        blocks = {key: value for key, value in {**self.template["spec"], **spec}.items() if value is not None}
        return {**self.template, "metadata": metadata, "spec": blocks}


def find_resource(cluster: Cluster, group_version: str, plural: str = "", kind: str = "") -> Resource:
    """Look a kind up by its plural or its name. Raises LookupError when the API server does not serve it."""
    group, _, version = group_version.rpartition("/")
    path = f"/apis/{group_version}" if group else f"/api/{group_version}"
    served = json.loads(cluster.kubectl("get", "--raw", path))["resources"]
    for each in served:
        if "/" not in each["name"] and (each["name"] == plural or each["kind"] == kind):
            return Resource(each["kind"], group, version, each["name"], each["namespaced"])
    raise LookupError(f"{group_version} has no {plural or kind}; it has {', '.join(r['name'] for r in served)}")


def read_subject(cluster: Cluster, template: Path, children: Sequence[str], hot: str, command: str) -> Subject:
    """Read the template and look the kinds up. Raises LookupError for a kind that is not served."""
    body = yaml.safe_load(template.read_text())
    owner = find_resource(cluster, body["apiVersion"], kind=body["kind"])
    kinds = tuple(find_resource(cluster, *each.rsplit("/", 1)) for each in children)
    return Subject(body, owner, kinds, hot, command)


class Controller(Protocol):
    """A running operator."""

    def start(self) -> Any:
        """Start it."""

    def terminate(self) -> Any:
        """Ask it to end, and wait until it has."""

    def kill(self) -> None:
        """End it without warning."""

    def close(self) -> None:
        """End it if it still runs."""

    @property
    def pid(self) -> int:
        """Its process."""


class Ours(OperatorProcess):
    """Our operator in the chart's namespace, with the chart's account."""

    def has_looked_at(self, count: int) -> bool:
        """Whether it has reconciled so often, and neither waits nor works."""
        _, text = self.get("/metrics")
        totals = {"reconciles_total": 0.0, "queue_depth": 0.0, "reconciles_running": 0.0}
        for line in text.splitlines():
            name = line.removeprefix(f"{PREFIX}_").partition("{")[0].partition(" ")[0]
            if line.startswith(PREFIX) and name in totals:
                totals[name] += float(line.rsplit(" ", 1)[1])
        done, waiting, running = totals.values()
        return done >= count and not waiting and not running

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.process is not None
        return self.process.pid


@dataclass
class Foreign:
    """Another operator, started by a command line in which KUBECONFIG stands for the file with its login."""

    kubeconfig: Path
    log: Path
    command: str
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    def start(self) -> "Foreign":
        """Start it; when it is ready is not known, and shows in what it does."""
        words = shlex.split(self.command.replace("KUBECONFIG", str(self.kubeconfig)))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log)
        return self

    def terminate(self) -> None:
        """Ask it to end, and wait."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(60)

    def kill(self) -> None:
        """End it without warning."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.process is not None
        return self.process.pid


def make_controller(subject: Subject, kubeconfig: Path, folder: Path, name: str) -> Controller:
    """An operator that is not started yet."""
    log = folder / f"{name}.log"
    if subject.is_ours:
        return Ours(kubeconfig, log, name, ("--namespace", NAMESPACE))
    return Foreign(kubeconfig, log, subject.command)


@dataclass(frozen=True)
class Use:
    """What a process uses at a moment: CPU seconds since its start, memory in MiB now and at its highest."""

    at: float
    cpu: float
    resident: float
    highest: float


def use_of(pid: int) -> Use:
    """Measure a process."""
    times = psutil.Process(pid).cpu_times()
    return Use(time.monotonic(), times.user + times.system, *memory_of(pid))


def merge_tick(patch: str, tick: int) -> Mapping[str, Any]:
    """The patch of one update."""
    decoded: Mapping[str, Any] = json.loads(patch.replace("TICK", str(tick)))
    return decoded
