"""driftPolicy Report: what others changed is told with its owner and stays; the operator goes on with all else."""

import os
import subprocess
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
GRACE = "spec.template.spec.terminationGracePeriodSeconds"


def _edit(cluster: Cluster, team: Team, what: str, old: str, new: str) -> None:
    """A person opens an object in an editor, replaces some text and saves."""
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "KUBE_EDITOR": f"sed -i 's/{old}/{new}/'"}
    command = [str(cluster.bin / "kubectl"), "-n", team.namespace, "edit", what]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=30)


async def _pod(team: Team) -> dict[str, Any]:
    deployment = await team.get("Deployment", "chat")
    assert deployment is not None
    template: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return template


async def _drift(team: Team, kind: str) -> dict[str, str]:
    body = await team.get(MODEL_SERVICE.kind, "chat")
    assert body is not None
    (child,) = (child for child in body["status"]["children"] if child["kind"] == kind)
    return {entry["field"]: entry["manager"] for entry in child.get("drift", [])}


@pytest.mark.field("driftPolicy")
async def test_change_of_another_is_told_and_stays_while_the_spec_is_followed(
    operators: Operators, team: Team, served_control_plane: Cluster
) -> None:
    operators.start_leader()
    await team.create("chat", driftPolicy="Report", termination={"drainSeconds": 45})
    await team.expect_children(*BASIC, name="chat")
    await team.quiet()
    operators.audit.mark()
    before = (await _pod(team))["terminationGracePeriodSeconds"]
    field = "terminationGracePeriodSeconds"
    _edit(served_control_plane, team, "deployment/chat", f"{field}: {before}", f"{field}: 600")
    _edit(served_control_plane, team, "service/chat", "port: 80$", "port: 81")
    await team.expect_condition("chat", "InSync", "False", "DriftDetected", 20)

    async def both_are_told() -> bool:
        message = (await team.condition("chat", "InSync"))["message"]
        changes = (f"Deployment chat: {GRACE}", "Service chat: spec.ports[http].port")
        return all(f"{change} (set by kubectl-edit)" in message for change in changes)

    await until_async(both_are_told, 20)
    assert await _drift(team, "Deployment") == {GRACE: "kubectl-edit"}
    written = [line for line in describe(operators.audit.writes()) if "modelservices" not in line]
    assert written == []

    await team.remove("Service", "chat")
    await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"].update(runtime={"image": "other:1"}))

    async def follows() -> bool:
        service, pod = await team.get("Service", "chat"), await _pod(team)
        return service is not None and pod["containers"][0]["image"] == "other:1"

    await until_async(follows, 10)

    async def only_the_deployment_differs() -> bool:
        return await _drift(team, "Service") == {} and await _drift(team, "Deployment") == {GRACE: "kubectl-edit"}

    await until_async(only_the_deployment_differs, 20)
    assert (await _pod(team))["terminationGracePeriodSeconds"] == 600

    await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"].update(driftPolicy="Correct"))
    await team.expect_condition("chat", "InSync", "True", "Applied", 20)
    assert (await _pod(team))["terminationGracePeriodSeconds"] == before


async def test_replicas_of_another_are_told_until_the_spec_asks_for_a_number(
    operators: Operators, team: Team, served_control_plane: Cluster
) -> None:
    operators.start_leader()
    await team.create("chat", driftPolicy="Report")
    await team.expect_children(*BASIC, name="chat")
    await team.quiet()
    served_control_plane.kubectl("-n", team.namespace, "scale", "deployment/chat", "--replicas=2")
    await team.expect_condition("chat", "InSync", "False", "DriftDetected", 20)
    assert "spec.replicas" in await _drift(team, "Deployment")
    await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"].update(replicas=3))
    await team.expect_condition("chat", "InSync", "True", "Applied", 20)
    deployment = await team.get("Deployment", "chat")
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 3
