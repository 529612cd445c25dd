"""What an end-to-end test talks to: a namespace of its own on a real node with the operator installed."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.cluster import Cluster
from tests.quickstart import ask, services

Manifest = dict[str, Any]
OPTIONS = ("--set", "activator.enabled=true")
"""How the chart is installed for these tests."""


@dataclass(frozen=True)
class World:
    """A namespace on the cluster, and the verbs that a user has."""

    cluster: Cluster
    namespace: str

    def serve(self, name: str, uri: str, **spec: Any) -> None:
        """Apply a ModelService; `model` in `spec` is merged with the URI."""
        model = {"uri": uri, **spec.pop("model", {})}
        self.apply(
            {
                "apiVersion": "modelservice.dev/v1alpha1",
                "kind": "ModelService",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {"model": model, **spec},
            }
        )

    def apply(self, manifest: Manifest) -> None:
        """`kubectl apply` one manifest."""
        self.cluster.kubectl("apply", "-f", "-", input=json.dumps(manifest))

    def kubectl(self, *args: str) -> str:
        """kubectl in the world's namespace."""
        return self.cluster.kubectl("-n", self.namespace, *args)

    def get(self, kind: str, name: str) -> Manifest:
        """One object; raises when it is not there."""
        found: Manifest = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found

    def items(self, kinds: str, selector: str = "") -> list[Manifest]:
        """All objects of the kinds (comma-separated), of one label selector if given."""
        selection = ("-l", selector) if selector else ()
        found: list[Manifest] = json.loads(self.kubectl("get", kinds, *selection, "-o", "json"))["items"]
        return found

    def ready(self, name: str, timeout: float = 120.0) -> Manifest:
        """The ModelService once it is Ready for its newest generation."""
        return services.wait_for(self.cluster, self.namespace, name, services.is_ready, timeout)

    def unready(self, name: str, reason: str, timeout: float = 90.0) -> Manifest:
        """The ModelService once it says that it is not ready for `reason`."""
        return services.wait_for(self.cluster, self.namespace, name, services.has_reason(reason), timeout)

    @contextmanager
    def url(self, service: str) -> Iterator[str]:
        """The Service's base URL on this machine."""
        with ask.forwarded(self.cluster, self.namespace, service) as url:
            yield url

    def address(self, service: str) -> str:
        """The Service's base URL inside the cluster, which this machine reaches too."""
        return f"http://{self.get('service', service)['spec']['clusterIP']}"

    def operator_writes(self) -> list[str]:
        """Every write of the operator in this namespace, from the API server's audit log.

        The namespaces of earlier tests may still be going away, which no operator can be quiet about.
        """
        return [
            f"{entry['verb']} {entry['requestURI']}"
            for entry in self._operator_requests()
            if entry["verb"] in {"create", "update", "patch", "delete"}
            and entry.get("objectRef", {}).get("namespace") == self.namespace
        ]

    def operator_denials(self) -> set[str]:
        """What the operator has asked for, in any namespace, and its role does not allow."""
        return {
            f"{entry['verb']} {entry['requestURI']}"
            for entry in self._operator_requests()
            if (entry.get("annotations") or {}).get("authorization.k8s.io/decision") == "forbid"
        }

    def _operator_requests(self) -> Iterator[Manifest]:
        for line in self.cluster.audit_log.read_text().splitlines():
            entry = json.loads(line) if line.endswith("}") and '"ResponseComplete"' in line else None
            if entry and "modelservice-system" in entry["user"]["username"]:
                yield entry

    def inside(self, name: str, code: str) -> str:
        """What a Python program prints when it runs in a pod of the ModelService `name`."""
        return self.kubectl("exec", f"deployment/{name}", "-c", "server", "--", "python", "-c", code)


def eventually(check: Callable[[], Any], timeout: float = 30.0, what: str = "") -> Any:
    """The first true value of `check`, polled until `timeout` seconds have passed; AssertionError after that."""
    deadline = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout:.0f} s: {what or check}"
        time.sleep(0.1)
