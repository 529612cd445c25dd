"""`kubectl modelservice why`: the operator's own verdict, with evidence, also while the operator does not run."""

import json
from pathlib import Path
from typing import Any

import pytest

from modelservice_operator.kube.resources import LEASE, MODEL_SERVICE
from tests.cluster import Cluster
from tests.support.kubelet import Kubelet
from tests.support.operators import Operators
from tests.support.plugin import Answer, Plugin, limited_kubeconfig
from tests.support.team import Team

pytestmark = pytest.mark.control_plane

WORD = {"reason": "CudaOutOfMemory", "message": "4 GiB are missing", "hint": "lower maxContext"}
OPERATOR_LABELS = {"app.kubernetes.io/component": "operator", "app.kubernetes.io/part-of": "modelservice"}


@pytest.fixture
def plugin(served_control_plane: Cluster, team: Team) -> Plugin:
    return Plugin(served_control_plane, team.namespace)


async def _why(plugin: Plugin, name: str = "chat") -> Answer:
    return await plugin.run("why", name, "-o", "json")


async def _crashing(operators: Operators, kubelet: Kubelet, team: Team) -> None:
    """A service whose server crashes, of which the operator knows."""
    operators.start_leader()
    await team.create("chat")
    await kubelet.crash("", 1, WORD)
    await team.expect_condition("chat", "RuntimeReady", "False", "CudaOutOfMemory")
    await team.quiet()


async def test_verdict_is_that_of_the_operator_when_a_server_crashes(
    operators: Operators, plugin: Plugin, team: Team, kubelet: Kubelet
) -> None:
    await _crashing(operators, kubelet, team)
    before = await team.versions()
    answer = await _why(plugin)
    assert answer.status == 2, answer.errors
    found, told = answer.document, (await team.get(MODEL_SERVICE.kind, "chat") or {})["status"]
    assert found["conditions"] == told["conditions"]
    assert found["lastFailure"] == told["lastFailure"]
    assert (found["reason"], found["hint"], found["stale"]) == ("CudaOutOfMemory", "lower maxContext", [])
    (server,) = found["pods"][0]["containers"]
    assert (server["last_exit"], server["last_message"]) == (1, "4 GiB are missing")
    assert any("the log of server" in note for note in found["notes"])
    assert await team.versions() == before


async def test_truth_is_told_when_the_status_is_old_since_the_operator_has_died(
    operators: Operators, plugin: Plugin, team: Team, kubelet: Kubelet
) -> None:
    leader = operators.start_leader()
    await team.create("chat")
    await kubelet.make_ready("")
    await team.expect_condition("chat", "Ready", "True", "Ready")
    leader.kill()
    assert (await _why(plugin)).status == 0
    await kubelet.crash("", 1, WORD)
    answer = await plugin.run("why", "chat")
    assert answer.status == 2
    assert f"ModelService {team.namespace}/chat is not ready" in answer.text
    assert "CudaOutOfMemory" in answer.text.splitlines()[0]
    assert "the status in the object still says Ready=True, Ready" in answer.text


async def test_warnings_of_the_replica_set_are_told_when_a_quota_refuses_the_pods(
    operators: Operators, plugin: Plugin, team: Team, served_control_plane: Cluster
) -> None:
    served_control_plane.kubectl("-n", team.namespace, "create", "quota", "none", "--hard=pods=0")
    operators.start_leader()
    await team.create("chat")
    await team.expect_condition("chat", "SpecValid", "False", "QuotaExceeded")
    found = (await _why(plugin)).document
    assert found["reason"] == "QuotaExceeded"
    assert any(
        each["object"].startswith("ReplicaSet chat-") and "exceeded quota" in each["message"]
        for each in found["warnings"]
    )


async def test_refusal_is_told_when_no_operator_has_applied_the_child_yet(plugin: Plugin, team: Team) -> None:
    await team.create("chat", resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}})
    found = (await _why(plugin)).document
    assert found["stale"] == ["the operator has written no status yet"]
    assert "no Deployment of it was found" in found["operator"]["note"]
    in_sync = next(entry for entry in found["conditions"] if entry["type"] == "InSync")
    assert in_sync["reason"] == "ApplyFailed"
    assert "cpu" in in_sync["message"]


async def test_operator_is_said_not_to_run_when_its_lease_is_old(
    plugin: Plugin, team: Team, served_control_plane: Cluster
) -> None:
    served_control_plane.kubectl("apply", "-f", "-", input=json.dumps(_operator_at_rest(team.namespace)))
    renewed = {"holderIdentity": "one", "renewTime": "2026-01-31T08:00:00.000000Z", "leaseDurationSeconds": 15}
    lease = {"metadata": {"namespace": team.namespace, "name": "at-rest"}, "spec": renewed}
    await team.api.create(LEASE, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **lease})
    await team.create("chat")
    try:
        answer = await plugin.run("why", "chat")
    finally:
        served_control_plane.kubectl("-n", team.namespace, "delete", "deployment", "at-rest")
    assert "! the operator does not run: its leader one renewed its lease" in answer.text


def _operator_at_rest(namespace: str) -> dict[str, Any]:
    variable = {"name": "MODELSERVICE_OPERATOR_LEASE_NAME", "value": "at-rest"}
    container = {"name": "operator", "image": "operator:1", "env": [variable]}
    template = {"metadata": {"labels": OPERATOR_LABELS}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": "at-rest", "labels": OPERATOR_LABELS},
        "spec": {"replicas": 0, "selector": {"matchLabels": OPERATOR_LABELS}, "template": template},
    }


async def test_last_verdict_of_the_operator_is_told_when_the_user_may_read_little(
    operators: Operators, plugin: Plugin, team: Team, kubelet: Kubelet, served_control_plane: Cluster, tmp_path: Path
) -> None:
    await _crashing(operators, kubelet, team)
    kubeconfig = limited_kubeconfig(served_control_plane, team.namespace, tmp_path, "get,list", "modelservices,pods")
    answer = await Plugin(served_control_plane, team.namespace, kubeconfig).run("why", "chat", "-o", "json")
    assert answer.status == 2, answer.errors
    assert answer.document["reason"] == "CudaOutOfMemory"
    assert any("the verdict is the operator's last one" in note for note in answer.document["notes"])
    assert answer.document["pods"][0]["found"]["message"] == "4 GiB are missing"


async def test_name_is_told_when_there_is_no_such_modelservice(plugin: Plugin) -> None:
    answer = await _why(plugin, "nobody")
    assert answer.status == 1
    assert 'modelservices.modelservice.dev "nobody" not found' in answer.errors
