"""What a ModelService costs and brings: its children, the number of writes, silence afterwards."""

import asyncio

import pytest

from modelservice_operator.kube.resources import MODEL_SERVICE, RUNTIME_PROFILE
from tests.support.audit import describe
from tests.support.operators import Operators
from tests.support.polling import until_async
from tests.support.team import EVERYTHING, Team

pytestmark = pytest.mark.control_plane

BASIC = ("ServiceAccount", "Deployment", "Service")
QUIET_SECONDS = 5.0


async def test_children_exist_and_belong_to_it_when_a_modelservice_is_created(operators: Operators, team: Team) -> None:
    operators.start_leader()
    created = await team.create("chat")
    await team.expect_children(*BASIC, name="chat")
    deployment = await team.get("Deployment", "chat")
    assert deployment is not None
    owner = deployment["metadata"]["ownerReferences"][0]
    assert (owner["uid"], owner["controller"]) == (created["metadata"]["uid"], True)
    assert deployment["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "modelservice-operator"


async def test_writes_stay_within_children_plus_two_and_then_none_follow(operators: Operators, team: Team) -> None:
    operators.start_leader()
    operators.audit.mark()
    await team.create("chat", **EVERYTHING)
    await team.expect_children(*BASIC, "HorizontalPodAutoscaler", "PodDisruptionBudget", name="chat")
    await team.quiet()
    writes = operators.audit.writes()
    assert len(writes) <= 6 + 2, describe(writes)

    operators.audit.mark()
    await asyncio.sleep(QUIET_SECONDS)
    assert describe(operators.audit.writes()) == []


async def test_spec_labels_and_annotations_are_untouched_when_a_modelservice_is_reconciled(
    operators: Operators, team: Team
) -> None:
    operators.start_leader()
    created = await team.create("chat")
    await team.expect_children(*BASIC, name="chat")
    await team.quiet()
    seen = await team.get(MODEL_SERVICE.kind, "chat")
    assert seen is not None
    assert seen["spec"] == created["spec"]
    for field in ("labels", "annotations", "finalizers", "generation"):
        assert seen["metadata"].get(field) == created["metadata"].get(field)
    assert seen["status"]["observedGeneration"] == 1


async def test_child_disappears_when_its_block_leaves_the_spec(operators: Operators, team: Team) -> None:
    operators.start_leader()
    await team.create("chat", **EVERYTHING)
    await team.expect_children(*BASIC, "HorizontalPodAutoscaler", "PodDisruptionBudget", name="chat")

    def without_blocks(body: dict[str, dict[str, object]]) -> None:
        del body["spec"]["autoscaling"]
        del body["spec"]["availability"]

    await team.change(MODEL_SERVICE.kind, "chat", without_blocks)
    await team.expect_children(*BASIC, name="chat")


async def test_nothing_is_left_when_a_modelservice_is_deleted(operators: Operators, team: Team) -> None:
    operators.start_leader()
    await team.create("chat", **EVERYTHING)
    await team.expect_children(*BASIC, "HorizontalPodAutoscaler", "PodDisruptionBudget", name="chat")
    await team.remove(MODEL_SERVICE.kind, "chat")
    await team.expect_children(name="chat", seconds=30)


async def test_many_get_their_children_when_created_at_once(operators: Operators, team: Team) -> None:
    operators.start_leader()
    names = [f"many-{index}" for index in range(30)]
    await asyncio.gather(*(team.create(name) for name in names))
    for name in names:
        await team.expect_children(*BASIC, name=name, seconds=15)


async def test_users_are_reconciled_when_their_profile_changes(operators: Operators, team: Team) -> None:
    operators.start_leader()
    name = f"profile-{team.namespace}"
    profile = {
        "apiVersion": "modelservice.dev/v1alpha1",
        "kind": "RuntimeProfile",
        "metadata": {"name": name},
        "spec": {"image": "registry.local/runtime:1"},
    }
    await team.api.create(RUNTIME_PROFILE, profile)
    await team.create("chat", runtime={"profileRef": {"name": name}})
    await team.expect_children(*BASIC, name="chat")
    await team.change(RUNTIME_PROFILE.kind, name, lambda body: body["spec"].update(image="registry.local/runtime:2"))

    async def image() -> str:
        deployment = await team.get("Deployment", "chat")
        assert deployment is not None
        return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])

    async with asyncio.timeout(10):
        while await image() != "registry.local/runtime:2":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await team.change(RUNTIME_PROFILE.kind, name, lambda body: body["spec"].update(server={"port": 9001}))

    async def has_ports(*expected: int) -> bool:
        deployment = await team.get("Deployment", "chat")
        assert deployment is not None
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        return [port["containerPort"] for port in container["ports"]] == list(expected)

    await until_async(lambda: has_ports(9001), 10)
    await team.change(RUNTIME_PROFILE.kind, name, lambda body: body["spec"].pop("server"))
    await until_async(lambda: has_ports(8080, 8081), 10)
    await team.remove(RUNTIME_PROFILE.kind, name)
