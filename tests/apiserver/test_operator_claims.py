"""Devices of dynamic resource allocation, handed out by the real scheduler from slices that the test publishes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from modelservice_operator.kube.resources import MODEL_SERVICE
from tests.apiserver.test_operator_rollback import NEW, OLD
from tests.cluster import Cluster
from tests.support.kubelet import NODE, Kubelet
from tests.support.operators import Operators
from tests.support.polling import until_async
from tests.support.team import Team

pytestmark = pytest.mark.control_plane


DRIVER = "devices.example.com"
API = {"apiVersion": "resource.k8s.io/v1"}
CLASS = {
    **API,
    "kind": "DeviceClass",
    "metadata": {"name": DRIVER},
    "spec": {"selectors": [{"cel": {"expression": f'device.driver == "{DRIVER}"'}}]},
}
SLICE = {
    **API,
    "kind": "ResourceSlice",
    "metadata": {"name": f"{NODE}-devices"},
    "spec": {
        "driver": DRIVER,
        "nodeName": NODE,
        "pool": {"name": NODE, "generation": 1, "resourceSliceCount": 1},
        "devices": [{"name": "gpu-0"}],
    },
}
TEMPLATE = {
    **API,
    "kind": "ResourceClaimTemplate",
    "metadata": {"name": "one-gpu"},
    "spec": {
        "spec": {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": DRIVER}}]}},
    },
}
CLAIMS = [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]


@pytest.fixture
def device(served_control_plane: Cluster, kubelet: Kubelet) -> Iterator[None]:
    """One device on the played node, as a driver would publish it."""
    for manifest in (CLASS, SLICE):
        served_control_plane.kubectl("apply", "-f", "-", input=json.dumps(manifest))
    kubelet.offer(gpus=0)
    yield
    for manifest in (SLICE, CLASS):
        served_control_plane.kubectl("delete", manifest["kind"], manifest["metadata"]["name"])  # type: ignore[index]


def _allocated(cluster: Cluster, team: Team) -> list[str]:
    """The devices that the scheduler has given to the namespace's claims."""
    claims = json.loads(cluster.kubectl("-n", team.namespace, "get", "resourceclaims", "-o", "json"))["items"]
    granted = (claim.get("status", {}).get("allocation", {}).get("devices", {}).get("results", []) for claim in claims)
    return [result["device"] for results in granted for result in results]


async def _placed(kubelet: Kubelet, image: str) -> dict[str, Any]:
    """The pod of an image once the scheduler has placed it; it becomes ready."""

    async def placed() -> bool:
        kubelet.bury()
        return any(pod["spec"].get("nodeName") for pod in kubelet.pods(image))

    await until_async(placed, 30)
    (pod,) = await kubelet.make_ready(image)
    return pod


async def test_server_gets_the_devices_of_its_claims_and_a_new_revision_takes_them_over(
    operators: Operators, team: Team, kubelet: Kubelet, device: None, served_control_plane: Cluster
) -> None:
    operators.start_leader()
    model = {"uri": "oci://localhost/models/chat:1"}
    await team.create("chat", model=model, runtime={"image": OLD}, scheduling={"resourceClaims": CLAIMS})
    told = await team.expect_condition("chat", "Scheduled", "False", "ClaimPending", seconds=20)
    assert "one-gpu" in told["message"]

    served_control_plane.kubectl("-n", team.namespace, "apply", "-f", "-", input=json.dumps(TEMPLATE))
    pod = await _placed(kubelet, OLD)
    assert pod["spec"]["resourceClaims"] == CLAIMS
    assert pod["spec"]["containers"][0]["resources"]["claims"] == [{"name": "gpu"}]
    assert _allocated(served_control_plane, team) == ["gpu-0"]
    await team.expect_condition("chat", "Ready", "True", "Ready", seconds=20)
    service = await team.get(MODEL_SERVICE.kind, "chat")
    assert service is not None
    assert service["status"]["accelerator"] == {"count": 1, "resource": "resourceClaims gpu", "simulated": False}

    await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"].update(runtime={"image": NEW}))
    await _placed(kubelet, NEW)
    await team.expect_condition("chat", "Ready", "True", "Ready", seconds=20)
    assert kubelet.pods(OLD) == []
    assert _allocated(served_control_plane, team) == ["gpu-0"]
    await team.quiet()
