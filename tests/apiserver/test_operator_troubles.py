"""What is wrong with one ModelService, or missing in the cluster, is told there and harms nothing else."""

import asyncio

import pytest

from modelservice_operator.kube.resources import MODEL_SERVICE
from tests.cluster import Cluster
from tests.support.operators import Operators
from tests.support.polling import until_async
from tests.support.team import Team

pytestmark = pytest.mark.control_plane

BASIC = ("ServiceAccount", "Deployment", "Service")


async def test_condition_says_so_when_the_profile_is_missing_and_a_neighbour_is_served(
    operators: Operators, team: Team
) -> None:
    operators.start_leader()
    await team.create("lost", runtime={"profileRef": {"name": "nowhere"}})
    await team.create("good")
    condition = await team.expect_condition("lost", "SpecValid", "False", "ProfileNotFound")
    assert "nowhere" in condition["message"]
    await team.expect_condition("lost", "Ready", "False", "ProfileNotFound")
    await team.expect_children(*BASIC, name="good")
    await team.expect_children(name="lost")


async def test_condition_tells_the_servers_words_when_a_child_is_refused(operators: Operators, team: Team) -> None:
    operators.start_leader()
    await team.create("poison", resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}})
    await team.create("good")
    await team.expect_children(*BASIC, name="good")

    async def told() -> bool:
        return bool((await team.condition("poison", "InSync")).get("status") == "False")

    await until_async(told, 10)
    assert "cpu" in (await team.condition("poison", "InSync"))["message"]
    assert operators.started[0].is_ready()


async def test_servicemonitor_appears_when_its_definition_is_installed_later(
    operators: Operators, team: Team, served_control_plane: Cluster
) -> None:
    leader = operators.start_leader()
    await team.create("chat", observability={"serviceMonitor": {}})
    await team.expect_children(*BASIC, name="chat")
    await asyncio.sleep(1)
    assert '"level": "ERROR"' not in leader.log.read_text()

    served_control_plane.install_crds("servicemonitor")
    await team.expect_children(*BASIC, "ServiceMonitor", name="chat", seconds=40)
    uid = await team.remove("ServiceMonitor", "chat")

    async def returned() -> bool:
        body = await team.get("ServiceMonitor", "chat")
        return body is not None and body["metadata"]["uid"] != uid

    await until_async(returned, 5)

    served_control_plane.kubectl("delete", "crd", "servicemonitors.monitoring.coreos.com", "--wait=true")
    await team.create("later")
    await team.expect_children(*BASIC, name="later")
    assert leader.process is not None
    assert leader.process.poll() is None


async def test_spec_that_changes_fast_ends_at_its_last_state(operators: Operators, team: Team) -> None:
    operators.start_leader()
    await team.create("chat")
    for index in range(20):
        await team.change(MODEL_SERVICE.kind, "chat", lambda body, i=index: body["spec"].update(replicas=i % 5))

    async def settled() -> bool:
        service = await team.get(MODEL_SERVICE.kind, "chat")
        deployment = await team.get("Deployment", "chat")
        return (
            deployment is not None
            and service is not None
            and deployment["spec"]["replicas"] == service["spec"]["replicas"]
            and service.get("status", {}).get("observedGeneration") == service["metadata"]["generation"]
        )

    await until_async(settled, 10)
