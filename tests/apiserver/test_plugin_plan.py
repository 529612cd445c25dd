"""`kubectl modelservice plan`: tells what the operator then does, and touches nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from modelservice_operator.kube.resources import MODEL_SERVICE
from tests.cluster import Cluster
from tests.support.kubelet import Kubelet
from tests.support.operators import Operators
from tests.support.plugin import Answer, Plugin
from tests.support.team import EVERYTHING, Team, make_modelservice

pytestmark = pytest.mark.control_plane

BASIC = ("ServiceAccount", "Deployment", "Service")
IMAGE = "registry.local/runtime:2"


@pytest.fixture
def plugin(served_control_plane: Cluster, team: Team) -> Plugin:
    return Plugin(served_control_plane, team.namespace)


async def _plan(plugin: Plugin, *services: dict[str, Any], form: str = "json") -> Answer:
    file = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(services)})
    return await plugin.run("plan", "-f", "-", "-o", form, given=file)


def _actions(answer: Answer) -> set[tuple[str, str]]:
    return {(entry["action"], entry["kind"]) for entry in answer.document["services"][0]["objects"]}


async def test_children_are_foretold_and_none_is_made_when_the_modelservice_is_new(plugin: Plugin, team: Team) -> None:
    answer = await _plan(plugin, make_modelservice(team.namespace, "chat", availability={"minAvailable": 1}))
    assert answer.status == 2, answer.errors
    kinds = ("ModelService", *BASIC, "PodDisruptionBudget")
    assert _actions(answer) == {("create", kind) for kind in kinds}
    assert await team.children() == set()
    assert await team.get(MODEL_SERVICE.kind, "chat") is None


async def test_plan_is_empty_when_the_operator_has_done_what_it_foretold(
    operators: Operators, plugin: Plugin, team: Team
) -> None:
    service = make_modelservice(team.namespace, "chat", **EVERYTHING)
    foretold = await _plan(plugin, service)
    operators.start_leader()
    await team.api.create(MODEL_SERVICE, service)
    kinds = {kind for _, kind in _actions(foretold)} - {MODEL_SERVICE.kind}
    await team.expect_children(*kinds, name="chat")
    await team.quiet()
    again = await _plan(plugin, service, form="text")
    assert again.status == 0, again.text
    assert again.text.startswith(f"ModelService {team.namespace}/chat\n  nothing would change\n")


async def test_fields_are_told_with_both_values_when_the_image_changes(
    operators: Operators, plugin: Plugin, team: Team, served_control_plane: Cluster, tmp_path: Path
) -> None:
    file = tmp_path / "chat.yaml"
    file.write_text(json.dumps(make_modelservice(team.namespace, "chat", availability={"minAvailable": 1})))
    operators.start_leader()
    served_control_plane.kubectl("apply", "-f", str(file))
    await team.expect_children(*BASIC, "PodDisruptionBudget", name="chat")
    await Kubelet(served_control_plane, team.namespace).expect("")
    await team.quiet()
    before = await team.versions()
    file.write_text(json.dumps(make_modelservice(team.namespace, "chat", runtime={"image": IMAGE})))

    answer = await plugin.run("plan", "-f", str(file), "-o", "json")

    assert answer.status == 2, answer.errors
    assert ("delete", "PodDisruptionBudget") in _actions(answer)
    told = answer.document["services"][0]
    deployment = next(entry for entry in told["objects"] if entry["kind"] == "Deployment")
    images = {f["path"]: f["after"] for f in deployment["fields"] if f["path"].endswith("image")}
    assert images["spec.template.spec.containers[server].image"] == IMAGE
    assert told["restart"]["pods"] == 1
    assert await team.versions() == before


async def test_words_of_the_api_server_are_told_when_a_child_would_be_refused(plugin: Plugin, team: Team) -> None:
    poison = make_modelservice(team.namespace, "chat", resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}})
    answer = await _plan(plugin, poison)
    refused = [entry for entry in answer.document["services"][0]["objects"] if entry["refused"]]
    assert answer.status == 1
    assert [entry["kind"] for entry in refused] == ["Deployment"]
    assert "cpu" in refused[0]["refused"]


async def test_operators_verdict_is_told_when_the_profile_is_missing(plugin: Plugin, team: Team) -> None:
    service = make_modelservice(team.namespace, "chat", runtime={"profileRef": {"name": "nowhere"}})
    answer = await _plan(plugin, service, form="text")
    assert answer.status == 1
    assert "the operator would say ProfileNotFound" in answer.text


async def test_conflict_is_told_when_another_object_has_the_childs_name(
    plugin: Plugin, team: Team, served_control_plane: Cluster
) -> None:
    served_control_plane.kubectl("-n", team.namespace, "create", "service", "clusterip", "chat", "--tcp=80")
    answer = await _plan(plugin, make_modelservice(team.namespace, "chat"))
    assert answer.status == 1
    assert answer.document["services"][0]["conflicts"] == [
        "Service chat exists and was not made by the operator; rename the ModelService or remove that Service"
    ]


async def test_schemas_words_are_told_when_the_file_is_invalid(plugin: Plugin, team: Team) -> None:
    answer = await _plan(plugin, make_modelservice(team.namespace, "chat", replicas=-1))
    assert answer.status == 1
    assert "spec.replicas" in answer.errors
