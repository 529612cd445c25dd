"""What a kubelet would say of pods, said by a test: the Deployment controller and the operator believe it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.cluster import Cluster
from tests.support.polling import until_async

Body = dict[str, Any]
TIME = "2026-01-31T08:00:00Z"
NODE = "played"


@dataclass(frozen=True)
class Kubelet:
    """Speaks for the pods of one namespace."""

    cluster: Cluster
    namespace: str

    def join(self) -> None:
        """A node for our pods joins the cluster; the scheduler is told to leave it alone."""
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}, "spec": {"unschedulable": True}}
        self.cluster.kubectl("apply", "-f", "-", input=json.dumps(node))

    def offer(self, gpus: int) -> None:
        """The node is open to the scheduler, with so many GPUs."""
        self.cluster.kubectl(
            "patch", "node", NODE, "--type=merge", "-p", '{"spec": {"unschedulable": null, "taints": []}}'
        )
        ready = {"type": "Ready", "status": "True", "reason": "Played", "lastHeartbeatTime": _now()}
        room = {"nvidia.com/gpu": str(gpus), "cpu": "64", "memory": "64Gi", "pods": "99"}
        status = {"capacity": room, "allocatable": room, "conditions": [ready]}
        patch = ("--subresource=status", "--type=strategic", "-p", json.dumps({"status": status}))
        self.cluster.kubectl("patch", "node", NODE, *patch)

    def bury(self) -> None:
        """Pods that were told to end are gone."""
        for pod in self._all():
            if pod["metadata"].get("deletionTimestamp"):
                name = pod["metadata"]["name"]
                self.cluster.kubectl("-n", self.namespace, "delete", "pod", name, "--grace-period=0", "--force")

    def leave(self) -> None:
        """The node leaves the cluster."""
        self.cluster.kubectl("delete", "node", NODE, "--ignore-not-found")

    def pods(self, image: str = "") -> list[Body]:
        """The pods that are not being deleted, of a server image or of any."""
        alive = [pod for pod in self._all() if not pod["metadata"].get("deletionTimestamp")]
        return [pod for pod in alive if image in ("", pod["spec"]["containers"][0]["image"])]

    def _all(self) -> list[Body]:
        found: list[Body] = json.loads(self.cluster.kubectl("-n", self.namespace, "get", "pods", "-o", "json"))["items"]
        return found

    async def expect(self, image: str, count: int = 1, seconds: float = 20.0) -> list[Body]:
        """Wait until there are so many pods of an image, and return them."""

        async def there() -> bool:
            return len(self.pods(image)) == count

        await until_async(there, seconds)
        return self.pods(image)

    async def make_ready(self, image: str, count: int = 1) -> list[Body]:
        """The servers of that image become ready."""
        pods = await self.expect(image, count)
        for pod in pods:
            self._say(pod, "True", lambda name: {"ready": True, "state": {"running": {"startedAt": TIME}}})
        return pods

    async def crash(self, image: str, exit_code: int, word: Body) -> list[Body]:
        """The servers of that image end, and leave a word."""
        ended = {"exitCode": exit_code, "reason": "Error", "message": json.dumps(word), "startedAt": TIME}
        state = {"waiting": {"reason": "CrashLoopBackOff"}}
        pods = await self.expect(image)
        for pod in pods:
            self._say(
                pod,
                "False",
                lambda name: {
                    "ready": False,
                    "restartCount": 1,
                    "state": state,
                    "lastState": {"terminated": {**ended, "finishedAt": TIME}},
                },
            )
        return pods

    def _say(self, pod: Body, ready: str, status: Callable[[str], Body]) -> None:
        self._bind(pod)
        base = {"image": "", "imageID": "", "restartCount": 0, "lastState": {}}
        servers = [{"name": c["name"], **base, **status(c["name"])} for c in pod["spec"]["containers"]]
        conditions = [
            {"type": type_, "status": status, "lastTransitionTime": TIME}
            for type_, status in (("PodScheduled", "True"), ("Ready", ready), ("ContainersReady", ready))
        ]
        body = {"status": {"phase": "Running", "conditions": conditions, "containerStatuses": servers}}
        name = pod["metadata"]["name"]
        patch = ("--subresource=status", "--type=strategic", "-p", json.dumps(body))
        self.cluster.kubectl("-n", self.namespace, "patch", "pod", name, *patch)

    def _bind(self, pod: Body) -> None:
        if pod["spec"].get("nodeName"):
            return
        name = pod["metadata"]["name"]
        target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/binding"
        self.cluster.kubectl("create", "--raw", path, "-f", "-", input=json.dumps(binding))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
