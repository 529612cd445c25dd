"""Autoscalers of other projects, by their real definitions, on a real API server."""

from typing import Any

import pytest

from modelservice_operator.kube.resources import MODEL_SERVICE
from tests.cluster import Cluster
from tests.support.audit import describe
from tests.support.operators import Operators
from tests.support.polling import until_async
from tests.support.team import Team

pytestmark = pytest.mark.control_plane

BASIC = ("ServiceAccount", "Deployment", "Service")
KEDA = {"backend": "KEDA", "minReplicas": 1, "maxReplicas": 5, "metrics": [{"type": "QueueDepth", "target": "4"}]}
SCALED_OBJECTS = "scaledobjects.keda.sh"


async def _replicas(team: Team) -> Any:
    deployment = await team.get("Deployment", "chat")
    assert deployment is not None
    return deployment["spec"]["replicas"]


async def _scale(team: Team, replicas: int) -> None:
    await team.change("Deployment", "chat", lambda body: body["spec"].update(replicas=replicas))


async def test_scaled_object_comes_with_keda_and_goes_with_its_block_while_keda_owns_the_replicas(
    operators: Operators, team: Team, served_control_plane: Cluster
) -> None:
    operators.start_leader("--prometheus-url", "http://prometheus.monitoring:9090")
    await team.create("chat", autoscaling=KEDA)
    await team.expect_children(*BASIC, name="chat")
    await team.expect_condition("chat", "AutoscalerReady", "False", "CRDMissing")

    served_control_plane.install_crds("keda")
    await team.expect_children(*BASIC, "ScaledObject", name="chat", seconds=40)
    await _scale(team, 4)
    await team.quiet()
    operators.audit.mark()
    await team.change("ScaledObject", "chat", lambda body: body["spec"].update(maxReplicaCount=9))

    async def repaired() -> bool:
        body = await team.get("ScaledObject", "chat")
        return body is not None and body["spec"]["maxReplicaCount"] == 5

    await until_async(repaired, 5)
    await team.quiet()
    children = [line for line in describe(operators.audit.writes()) if "modelservices" not in line]
    assert children == ["patch scaledobjects/ chat"]
    assert await _replicas(team) == 4

    await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"].pop("autoscaling"))
    await team.expect_children(*BASIC, name="chat")
    served_control_plane.kubectl("delete", "crd", SCALED_OBJECTS, "--wait=true")


async def test_schedule_that_is_on_keeps_its_replicas_without_any_metric(operators: Operators, team: Team) -> None:
    operators.start_leader()
    always = {"start": "* * * * *", "end": "0 0 29 2 *", "replicas": 3}
    await team.create("chat", autoscaling={"maxReplicas": 4, "schedules": [always]})
    await team.create("typo", autoscaling={"maxReplicas": 4, "schedules": [{**always, "timezone": "Mars/Base"}]})

    async def has_three() -> bool:
        deployment = await team.get("Deployment", "chat")
        return deployment is not None and deployment["spec"]["replicas"] == 3

    await until_async(has_three, 30)
    autoscaler = await team.get("HorizontalPodAutoscaler", "chat")
    assert autoscaler is not None
    assert autoscaler["spec"]["minReplicas"] == 3
    refused = await team.expect_condition("typo", "SpecValid", "False", "InvalidSpec")
    assert "no known time zone" in refused["message"]
