"""The operator keeps the children as the spec says, and keeps its hands off everything else."""

import asyncio
from typing import Any

import pytest

from modelservice_operator.kube.resources import BY_KIND
from tests.support.operators import Operators, describe
from tests.support.polling import until_async
from tests.support.team import EVERYTHING, Team

pytestmark = pytest.mark.control_plane

BASIC = ("ServiceAccount", "ConfigMap", "Deployment", "Service")
REPAIRED = (*BASIC, "HorizontalPodAutoscaler", "PodDisruptionBudget")


@pytest.mark.parametrize("kind", REPAIRED)
async def test_child_returns_when_it_is_deleted(operators: Operators, team: Team, kind: str) -> None:
    operators.start_leader()
    await team.create("chat", **EVERYTHING)
    await team.expect_children(*REPAIRED, name="chat")
    name = "chat-runtime" if kind == "ConfigMap" else "chat"
    uid = await team.remove(kind, name)

    async def returned() -> bool:
        body = await team.get(kind, name)
        return body is not None and body["metadata"]["uid"] != uid

    await until_async(returned, 5)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Service", ("spec", "selector"), {"wrong": "pods"}),
        ("Deployment", ("spec", "template", "spec", "terminationGracePeriodSeconds"), 600),
        ("ConfigMap", ("data",), {"runtime.yaml": "broken"}),
        ("HorizontalPodAutoscaler", ("spec", "maxReplicas"), 99),
        ("PodDisruptionBudget", ("spec", "minAvailable"), 0),
        ("ServiceAccount", ("metadata", "labels"), {}),
        ("Deployment", ("metadata", "ownerReferences"), []),
    ],
)
async def test_owned_field_is_restored_when_someone_changes_it(
    operators: Operators, team: Team, kind: str, path: tuple[str, ...], value: Any
) -> None:
    operators.start_leader()
    await team.create("chat", **EVERYTHING)
    await team.expect_children(*REPAIRED, name="chat")
    await team.quiet()
    name = "chat-runtime" if kind == "ConfigMap" else "chat"
    before = await team.get(kind, name)

    def edit(body: dict[str, Any]) -> None:
        for key in path[:-1]:
            body = body[key]
        body[path[-1]] = value

    await team.change(kind, name, edit)

    async def restored() -> bool:
        body: Any = await team.get(kind, name)
        expected: Any = before
        for key in path:
            body, expected = body.get(key), expected.get(key)
        return bool(body == expected)

    await until_async(restored, 5)


async def test_foreign_fields_stay_and_cost_nothing_when_someone_adds_them(operators: Operators, team: Team) -> None:
    operators.start_leader()
    await team.create("chat", **EVERYTHING)
    await team.expect_children(*REPAIRED, name="chat")
    await team.quiet()
    operators.audit.mark()

    def annotate(body: dict[str, Any]) -> None:
        body["metadata"].setdefault("annotations", {})["example.com/team"] = "ours"
        body["spec"]["replicas"] = 3

    await team.change("Deployment", "chat", annotate)
    await asyncio.sleep(1.5)
    deployment = await team.get("Deployment", "chat")
    assert deployment is not None
    assert deployment["metadata"]["annotations"]["example.com/team"] == "ours"
    assert deployment["spec"]["replicas"] == 3
    children = [event for event in operators.audit.writes() if event["objectRef"]["resource"] != "modelservices"]
    assert describe(children) == []


async def test_foreign_object_is_left_alone_when_it_has_the_name_of_a_child(operators: Operators, team: Team) -> None:
    operators.start_leader()
    foreign = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": team.namespace, "name": "chat-runtime"},
        "data": {"mine": "yes"},
    }
    await team.api.create(BY_KIND["ConfigMap"], foreign)
    await team.create("chat")
    condition = await team.expect_condition("chat", "SpecValid", "False", "NameConflict")
    assert "ConfigMap chat-runtime" in condition["message"]
    config_map = await team.get("ConfigMap", "chat-runtime")
    assert config_map is not None
    assert config_map["data"] == {"mine": "yes"}
    assert "ownerReferences" not in config_map["metadata"]

    await team.remove("ConfigMap", "chat-runtime")
    await team.expect_children(*BASIC, name="chat", seconds=30)
