"""A revision that fails is taken back, beside a real Deployment controller; only the kubelet is played."""

import json
from typing import Any

import pytest

from modelservice_operator.kube.resources import MODEL_SERVICE
from tests.support.kubelet import Kubelet
from tests.support.operators import Operators
from tests.support.polling import until_async
from tests.support.team import Team

pytestmark = pytest.mark.control_plane

OLD, NEW, THIRD = "registry.local/old:1", "registry.local/new:1", "registry.local/third:1"
GOLDEN = {"path": "/v1/completions", "body": '{"model": "chat", "prompt": "2 + 2 ="}', "expect": " 4"}
WORD = {"reason": "GoldenRequestFailed", "message": "should have answered ' 4'", "hint": "compare"}


async def _serve(team: Team, kubelet: Kubelet, image: str, **rollout: Any) -> str:
    """A ModelService that serves; return the name of its pod."""
    rollout = {"autoRollback": True, "verification": GOLDEN, **rollout}
    await team.create("chat", model={"uri": "pvc://models/chat"}, runtime={"image": image}, rollout=rollout)
    (pod,) = await kubelet.make_ready(image)
    await team.expect_condition("chat", "Verified", "True", "Verified")
    return str(pod["metadata"]["name"])


async def _use(team: Team, image: str) -> None:
    await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"].update(runtime={"image": image}))


async def _note(team: Team, key: str) -> Any:
    deployment = await team.get("Deployment", "chat") or {"metadata": {}}
    return json.loads(deployment["metadata"].get("annotations", {}).get(f"modelservice.dev/{key}", "null"))


@pytest.mark.field("rollout.autoRollback")
async def test_revision_is_taken_back_by_whoever_operates_when_it_answers_wrongly(
    operators: Operators, team: Team, kubelet: Kubelet
) -> None:
    first = operators.start_leader()
    serving = await _serve(team, kubelet, OLD)

    async def noted() -> bool:
        return bool(await _note(team, "verified-template"))

    await until_async(noted, 10)
    await _use(team, NEW)
    await kubelet.expect(NEW)
    first.kill()
    await kubelet.crash(NEW, 76, WORD)
    operators.start_leader()
    told = await team.expect_condition("chat", "Verified", "False", "GoldenRequestFailed", seconds=30)
    assert "should have answered ' 4'" in told["message"]
    await team.expect_condition("chat", "Progressing", "False", "RolledBack")
    await kubelet.expect(NEW, 0)
    assert [pod["metadata"]["name"] for pod in kubelet.pods()] == [serving]
    await team.expect_condition("chat", "Ready", "False", "GoldenRequestFailed")

    await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"].update(replicas=2))
    await kubelet.make_ready(OLD, 2)
    assert kubelet.pods(NEW) == []
    await _use(team, THIRD)
    await kubelet.make_ready(THIRD)
    await kubelet.make_ready(THIRD, 2)
    await team.expect_condition("chat", "Ready", "True", "Ready", seconds=20)
    assert await _note(team, "taken-back") is None


async def test_revision_is_taken_back_when_it_is_not_ready_in_time(
    operators: Operators, team: Team, kubelet: Kubelet
) -> None:
    operators.start_leader()
    serving = await _serve(team, kubelet, OLD, progressDeadlineSeconds=3)
    await _use(team, NEW)
    await kubelet.crash(NEW, 1, {"reason": "EngineError", "message": "boom", "hint": "look"})
    told = await team.expect_condition("chat", "Progressing", "False", "RolledBack", seconds=30)
    assert "DeadlineExceeded: it was not ready within 3 s: EngineError: boom" in told["message"]
    await kubelet.expect(NEW, 0)
    assert [pod["metadata"]["name"] for pod in kubelet.pods()] == [serving]
    service = await team.get(MODEL_SERVICE.kind, "chat")
    assert service is not None
    revision = service["status"]["revision"]
    assert revision["failed"] not in ("", revision["current"])
    await _use(team, OLD)
    await team.expect_condition("chat", "Ready", "True", "Ready", seconds=20)


async def test_deadline_is_told_and_nothing_is_taken_back_when_nobody_asked_for_it(
    operators: Operators, team: Team, kubelet: Kubelet
) -> None:
    operators.start_leader()
    await _serve(team, kubelet, OLD, progressDeadlineSeconds=3, autoRollback=False)
    await _use(team, NEW)
    await kubelet.expect(NEW)
    await team.expect_condition("chat", "Progressing", "False", "DeadlineExceeded", seconds=30)
    assert len(kubelet.pods(NEW)) == 1
    assert await _note(team, "verified-template") is None
