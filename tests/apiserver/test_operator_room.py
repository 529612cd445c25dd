"""A rollout on nodes with few GPUs, beside the real scheduler and Deployment controller; only the kubelet is played."""

from typing import Any

import pytest

from modelservice_operator.kube.resources import MODEL_SERVICE
from tests.apiserver.test_operator_rollback import NEW, OLD, THIRD
from tests.support.kubelet import Kubelet
from tests.support.operators import Operators
from tests.support.polling import until_async
from tests.support.team import Team

pytestmark = pytest.mark.control_plane


async def _placed(kubelet: Kubelet, image: str) -> None:
    """Wait until the scheduler has placed the pod of an image; it becomes ready."""

    async def placed() -> bool:
        kubelet.bury()
        return any(pod["spec"].get("nodeName") for pod in kubelet.pods(image))

    await until_async(placed, 30)
    await kubelet.make_ready(image)


async def _spec(team: Team, **blocks: Any) -> None:
    await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"].update(blocks))


async def test_new_revision_replaces_the_old_one_or_waits_or_comes_beside_it_as_gpus_allow(
    operators: Operators, team: Team, kubelet: Kubelet
) -> None:
    kubelet.offer(gpus=1)
    operators.start_leader()
    await team.create(
        "chat", model={"uri": "oci://localhost/models/chat:1"}, runtime={"image": OLD}, accelerator={"count": 1}
    )
    await _placed(kubelet, OLD)
    await team.expect_condition("chat", "Ready", "True", "Ready", seconds=20)

    await _spec(team, runtime={"image": NEW})
    await _placed(kubelet, NEW)
    await team.expect_condition("chat", "Ready", "True", "Ready", seconds=20)
    assert kubelet.pods(OLD) == []

    await _spec(team, runtime={"image": THIRD}, accelerator={"count": 2})
    told = await team.expect_condition("chat", "Progressing", "False", "RolloutBlocked", seconds=20)
    assert "Insufficient nvidia.com/gpu" in told["message"]
    assert len(kubelet.pods(NEW)) == 1

    kubelet.offer(gpus=3)
    await _placed(kubelet, THIRD)
    await team.expect_condition("chat", "Ready", "True", "Ready", seconds=20)
