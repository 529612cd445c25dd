"""The operator keeps the children as the spec says, and keeps its hands off everything else."""

import asyncio
from typing import Any

import pytest

from modelservice_operator.kube.resources import BY_KIND
from tests.support.audit import describe
from tests.support.operators import Operators
from tests.support.polling import until_async
from tests.support.team import EVERYTHING, Team

pytestmark = pytest.mark.control_plane

BASIC = ("ServiceAccount", "Deployment", "Service")
REPAIRED = (*BASIC, "HorizontalPodAutoscaler", "PodDisruptionBudget")


@pytest.mark.parametrize("kind", REPAIRED)
async def test_child_returns_when_it_is_deleted(operators: Operators, team: Team, kind: str) -> None:
    operators.start_leader()
    await team.create("chat", **EVERYTHING)
    await team.expect_children(*REPAIRED, name="chat")
    uid = await team.remove(kind, "chat")

    async def returned() -> bool:
        body = await team.get(kind, "chat")
        return body is not None and body["metadata"]["uid"] != uid

    await until_async(returned, 5)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Service", ("spec", "selector"), {"wrong": "pods"}),
        ("Deployment", ("spec", "template", "spec", "terminationGracePeriodSeconds"), 600),
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
    before = await team.get(kind, "chat")

    def edit(body: dict[str, Any]) -> None:
        for key in path[:-1]:
            body = body[key]
        body[path[-1]] = value

    await team.change(kind, "chat", edit)

    async def restored() -> bool:
        body: Any = await team.get(kind, "chat")
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
        "kind": "Service",
        "metadata": {"namespace": team.namespace, "name": "chat"},
        "spec": {"selector": {"mine": "yes"}, "ports": [{"port": 80}]},
    }
    await team.api.create(BY_KIND["Service"], foreign)
    await team.create("chat")
    condition = await team.expect_condition("chat", "SpecValid", "False", "NameConflict")
    assert "Service chat" in condition["message"]
    service = await team.get("Service", "chat")
    assert service is not None
    assert service["spec"]["selector"] == {"mine": "yes"}
    assert "ownerReferences" not in service["metadata"]

    await team.remove("Service", "chat")
    await team.expect_children(*BASIC, name="chat", seconds=30)
