"""A canary beside a real Deployment controller, with and without a gateway's weights; only the kubelet is played."""

from typing import Any

import pytest

from modelservice_operator.kube.resources import MODEL_SERVICE
from tests.apiserver.test_operator_rollback import NEW, OLD
from tests.cluster import Cluster
from tests.support.audit import describe
from tests.support.kubelet import Kubelet
from tests.support.operators import Operators
from tests.support.polling import until_async
from tests.support.team import Team

pytestmark = pytest.mark.control_plane


async def _serve(team: Team, kubelet: Kubelet, replicas: int, **blocks: Any) -> None:
    rollout = blocks.pop("rollout", {"strategy": "Canary", "canary": {"weight": 25}})
    model = {"uri": "pvc://models/chat"}
    await team.create("chat", model=model, runtime={"image": OLD}, replicas=replicas, rollout=rollout, **blocks)
    await kubelet.make_ready(OLD, replicas)
    await team.expect_condition("chat", "RuntimeReady", "True", "Serving")


async def _spec(team: Team, **blocks: Any) -> None:
    await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"].update(blocks))


@pytest.mark.field("rollout.canary.weight")
async def test_canary_takes_replicas_over_until_it_is_rolled_out(
    operators: Operators, team: Team, kubelet: Kubelet
) -> None:
    first = operators.start_leader()
    await _serve(team, kubelet, 4)
    await _spec(team, runtime={"image": NEW})
    await kubelet.make_ready(NEW)
    await kubelet.expect(OLD, 3)
    told = await team.expect_condition("chat", "Progressing", "True", "CanaryServing", seconds=20)
    assert "1 of 4 replicas" in told["message"]
    await team.expect_condition("chat", "Ready", "True", "Ready")

    first.kill()
    operators.start_leader()
    operators.audit.mark()
    await team.quiet()
    assert [line for line in describe(operators.audit.writes()) if "modelservices" not in line] == []
    assert (len(kubelet.pods(OLD)), len(kubelet.pods(NEW))) == (3, 1)

    await _spec(team, rollout={"strategy": "Canary", "canary": {"weight": 100}}, replicas=1)
    await kubelet.expect(NEW)
    await kubelet.make_ready(NEW)
    await kubelet.expect(OLD, 0)
    await team.expect_condition("chat", "Progressing", "True", "RolloutComplete", seconds=20)
    assert ("Deployment", "chat-canary") not in await team.children()


@pytest.mark.field("rollout.canary.steps[].weight", "rollout.canary.steps[].pauseSeconds")
async def test_canary_goes_on_by_itself_across_a_restart_of_the_operator(
    operators: Operators, team: Team, kubelet: Kubelet
) -> None:
    first = operators.start_leader()
    steps = [{"weight": 25, "pauseSeconds": 1}, {"weight": 50, "pauseSeconds": 2}]
    await _serve(team, kubelet, 4, rollout={"strategy": "Canary", "canary": {"steps": steps}})
    await _spec(team, runtime={"image": NEW})
    await kubelet.expect(NEW)
    await kubelet.make_ready(NEW)
    await kubelet.expect(NEW, 2)
    await kubelet.expect(OLD, 2)

    first.kill()
    operators.start_leader()
    await kubelet.make_ready(NEW, 2)
    await until_async(lambda: _runs(team, NEW), 20)
    assert ("Deployment", "chat-canary") not in await team.children()


async def _runs(team: Team, image: str) -> bool:
    """Whether the Deployment itself, and not a canary's, has pods with that image."""
    deployment = await team.get("Deployment", "chat")
    return deployment is not None and deployment["spec"]["template"]["spec"]["containers"][0]["image"] == image


async def test_gateway_gets_the_weights_of_a_canary_that_answers(
    operators: Operators, team: Team, kubelet: Kubelet, served_control_plane: Cluster
) -> None:
    served_control_plane.install_crds("gateway-api")
    operators.start_leader()
    await _serve(team, kubelet, 1, network={"httpRoute": {"parentRefs": [{"name": "public"}]}})
    await _spec(team, runtime={"image": NEW})

    async def backends() -> list[tuple[str, int]]:
        route = await team.get("HTTPRoute", "chat") or {"spec": {"rules": [{"backendRefs": []}]}}
        return [(ref["name"], ref["weight"]) for ref in route["spec"]["rules"][0]["backendRefs"]]

    async def are(wanted: list[tuple[str, int]]) -> bool:
        return await backends() == wanted

    await kubelet.expect(NEW)
    assert await backends() == [("chat", 1)]
    await kubelet.make_ready(NEW)
    await until_async(lambda: are([("chat-stable", 75), ("chat-canary", 25)]), 10)
    stable, canary = await team.get("Service", "chat-stable"), await team.get("Service", "chat-canary")
    assert stable is not None
    assert canary is not None
    assert stable["spec"]["selector"] != canary["spec"]["selector"]
    pods = {pod["metadata"]["labels"]["modelservice.dev/revision"]: pod for pod in kubelet.pods()}
    for service, image in ((stable, OLD), (canary, NEW)):
        pod = pods[service["spec"]["selector"]["modelservice.dev/revision"]]
        assert pod["spec"]["containers"][0]["image"] == image

    await _spec(team, runtime={"image": OLD})
    await until_async(lambda: are([("chat", 1)]), 10)
    await kubelet.expect(NEW, 0)
    assert ("Service", "chat-canary") not in await team.children()
    served_control_plane.kubectl("delete", "crd", "httproutes.gateway.networking.k8s.io", "--wait=true")
