"""Pods that serve outlive a change of their profile until it is taken, beside a real Deployment controller."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from modelservice_operator.kube.resources import MODEL_SERVICE, RUNTIME_PROFILE
from tests.support.kubelet import Kubelet
from tests.support.operators import Operators
from tests.support.polling import until_async
from tests.support.team import Team

pytestmark = pytest.mark.control_plane

OLD, NEW = "registry.local/runtime:1", "registry.local/runtime:2"


@pytest.fixture
async def profile(team: Team) -> AsyncIterator[str]:
    name = f"updated-{team.namespace}"
    metadata = {"name": name}
    body = {"apiVersion": "modelservice.dev/v1alpha1", "kind": "RuntimeProfile", "metadata": metadata}
    await team.api.create(RUNTIME_PROFILE, body | {"spec": {"image": OLD}})
    yield name
    await team.remove(RUNTIME_PROFILE.kind, name)


async def _serve(team: Team, kubelet: Kubelet, profile: str, *names: str) -> None:
    for name in names:
        await team.create(name, model={"uri": "pvc://models/chat"}, runtime={"profileRef": {"name": profile}})
    await kubelet.make_ready(OLD, len(names))
    for name in names:
        await team.expect_condition(name, "Progressing", "True", "RolloutComplete")


async def _publish(team: Team, profile: str, image: str, **updates: Any) -> None:
    await team.change(RUNTIME_PROFILE.kind, profile, lambda body: body["spec"].update(image=image, updates=updates))


async def test_running_pods_stay_until_a_person_takes_the_newer_template(
    operators: Operators, team: Team, kubelet: Kubelet, profile: str
) -> None:
    first = operators.start_leader()
    await _serve(team, kubelet, profile, "chat")
    (serving,) = kubelet.pods(OLD)
    await _publish(team, profile, NEW)
    told = await team.expect_condition("chat", "Progressing", "True", "NewTemplateAvailable")
    assert "spec.containers[server].image" in told["message"]
    await team.expect_condition("chat", "Ready", "True", "Ready")

    first.kill()
    operators.start_leader()
    await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"].update(replicas=2))
    await kubelet.make_ready(OLD, 2)
    assert serving["metadata"]["uid"] in [pod["metadata"]["uid"] for pod in kubelet.pods(OLD)]
    assert kubelet.pods(NEW) == []

    key, _, revision = told["message"].rpartition(" ")[2].partition("=")
    await team.change(
        MODEL_SERVICE.kind, "chat", lambda body: body["metadata"].setdefault("annotations", {}).update({key: revision})
    )
    await kubelet.make_ready(NEW)
    await kubelet.make_ready(NEW, 2)
    await team.expect_condition("chat", "Progressing", "True", "RolloutComplete", seconds=20)


async def test_drift_of_kept_pods_is_repaired(operators: Operators, team: Team, kubelet: Kubelet, profile: str) -> None:
    operators.start_leader()
    await _serve(team, kubelet, profile, "chat")
    await _publish(team, profile, NEW)
    await team.expect_condition("chat", "Progressing", "True", "NewTemplateAvailable")

    def damage(body: Any) -> None:
        body["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.local/else:1"

    async def repaired() -> bool:
        deployment = await team.get("Deployment", "chat")
        return bool(deployment) and deployment["spec"]["template"]["spec"]["containers"][0]["image"] == OLD

    await team.change("Deployment", "chat", damage)
    await until_async(repaired, 10)


async def test_services_follow_one_after_the_other_in_a_wave(
    operators: Operators, team: Team, kubelet: Kubelet, profile: str
) -> None:
    operators.start_leader()
    await _serve(team, kubelet, profile, "a", "b")
    await _publish(team, profile, NEW, policy="Wave")
    (pod,) = await kubelet.expect(NEW)
    first = pod["metadata"]["labels"]["modelservice.dev/name"]
    (second,) = {"a", "b"} - {first}
    await team.expect_condition(second, "Progressing", "True", "NewTemplateAvailable")
    assert len(kubelet.pods(NEW)) == 1
    await kubelet.make_ready(NEW)
    await kubelet.make_ready(NEW, 2)
    await team.expect_condition(second, "Progressing", "True", "RolloutComplete", seconds=40)
