"""Objects that go at the wrong moment, come again, cannot go, or are monstrous: what is left is right."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from modelservice_operator.kube.errors import NotFound
from modelservice_operator.kube.resources import MODEL_SERVICE
from tests.faults.bench import FaultBench
from tests.faults.proxy import Exchange
from tests.faults.test_crashes import restart_if_dead
from tests.faults.test_server import expect_told
from tests.support.operators import install_crds
from tests.support.polling import until_async
from tests.support.team import NAMESPACE, Team

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(400)]

BASIC = ("ServiceAccount", "Deployment", "Service")
FINALIZER = "example.com/hold"
COLLECT_SECONDS = 90.0
"""The garbage collector looks every half a minute for kinds that are new to it."""


async def expect_nothing(team: Team, name: str) -> None:
    """Wait until no child of that name is left."""

    async def gone() -> bool:
        return not {child for child in await team.children() if child[1] == name}

    await until_async(gone, COLLECT_SECONDS, pause=0.5)


async def owners(team: Team, name: str) -> set[str]:
    """The uids that own the children of that name."""
    found = set()
    for kind in BASIC:
        body = await team.get(kind, name) or {"metadata": {}}
        found |= {owner["uid"] for owner in body["metadata"].get("ownerReferences", ())}
    return found


@pytest.mark.thorough
async def test_nothing_is_left_when_a_service_is_deleted_while_its_children_are_made(bench: FaultBench) -> None:
    replica = bench.lead()

    async def delete_first(exchange: Exchange) -> web.StreamResponse:
        await asyncio.to_thread(
            bench.cluster.kubectl, "delete", "modelservice", "chat", "--namespace", bench.team.namespace
        )
        return await exchange.forward()

    rule = replica.proxy.add(lambda ask: ask.is_write and ask.resource == "deployments", delete_first, times=1)
    await bench.team.create("chat")
    replica.operator.wait(lambda: rule.hits, "the Deployment is applied", 20)
    await expect_nothing(bench.team, "chat")
    await bench.expect_quiet()
    await bench.team.create("other")
    await bench.converge("other", *BASIC)
    bench.expect_health([replica])


@pytest.mark.thorough
async def test_children_are_those_of_the_new_service_when_its_name_comes_again(bench: FaultBench) -> None:
    replica = bench.lead()
    await bench.team.create("chat")
    await bench.converge("chat", *BASIC)
    await bench.team.remove(MODEL_SERVICE.kind, "chat")
    body = await bench.team.create("chat", replicas=2)
    wanted = {body["metadata"]["uid"]}

    async def all_new() -> bool:
        return await owners(bench.team, "chat") == wanted

    await until_async(all_new, COLLECT_SECONDS, pause=0.5)
    await bench.converge("chat", *BASIC)
    deployment = await bench.team.get("Deployment", "chat")
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 2
    await bench.expect_quiet()
    bench.expect_health([replica])


@pytest.mark.thorough
async def test_operator_is_calm_when_a_namespace_goes(bench: FaultBench) -> None:
    replica = bench.lead()
    doomed = Team(bench.team.api)
    await doomed.open()
    for index in range(3):
        await doomed.create(f"chat-{index}")
    for index in range(3):
        await doomed.expect_children(*BASIC, name=f"chat-{index}", seconds=60)
    body = await doomed.api.get(NAMESPACE, "", doomed.namespace)
    bench.audit.mark()
    await doomed.api.delete(NAMESPACE, "", doomed.namespace, body["metadata"]["uid"])

    async def gone() -> bool:
        try:
            await doomed.api.get(NAMESPACE, "", doomed.namespace)
        except NotFound:
            return True
        return False

    await until_async(gone, COLLECT_SECONDS, pause=0.5)
    asked = [e for e in bench.audit.requests() if e["objectRef"].get("namespace") == doomed.namespace]
    assert len(asked) < 60, "requests go on for objects that cannot be made any more"
    await bench.team.create("chat")
    await bench.converge("chat", *BASIC)
    bench.expect_health([replica])


@pytest.mark.thorough
async def test_operator_serves_again_when_its_definition_was_deleted_and_is_back(bench: FaultBench) -> None:
    replica = bench.lead()
    await bench.team.create("before")
    await bench.converge("before", *BASIC)
    bench.cluster.kubectl("delete", "crd", "modelservices.modelservice.dev", "--timeout=60s")
    try:
        await asyncio.sleep(3)
    finally:
        install_crds(bench.cluster)
    await serve_again(bench, "after")
    await bench.team.quiet(6.0)  # by now what is listed from time to time was listed
    await bench.team.create("later")
    await bench.converge("later", *BASIC, seconds=30)
    bench.expect_health([replica])


async def serve_again(bench: FaultBench, name: str) -> None:
    """A new service gets its children; the process may end, and is then started again, as a kubelet does."""
    await bench.team.create(name)
    task = asyncio.create_task(bench.converge(name, *BASIC, seconds=150))
    (replica,) = bench.replicas
    while not task.done():
        restart_if_dead(replica)
        await asyncio.sleep(0.1)
    await task


async def test_child_that_cannot_go_is_waited_for_without_haste(bench: FaultBench) -> None:
    replica = bench.lead()
    await bench.team.create("chat")
    await bench.converge("chat", *BASIC)
    await bench.team.change("Service", "chat", lambda body: body["metadata"].update(finalizers=[FINALIZER]))
    try:
        uid = await bench.team.remove("Service", "chat")
        await bench.team.quiet(1.2)
        bench.audit.mark()
        await asyncio.sleep(2)
        assert len(bench.writes()) <= 2, "I4: a child that is being deleted is applied again and again"
        await bench.team.create("other")
        await bench.converge("other", *BASIC)
    finally:
        await bench.team.change("Service", "chat", lambda body: body["metadata"].pop("finalizers"))

    async def replaced() -> bool:
        body = await bench.team.get("Service", "chat")
        return body is not None and body["metadata"]["uid"] != uid

    await until_async(replaced, 60)
    await bench.converge("chat", *BASIC)
    bench.expect_health([replica])


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param(
            {"podTemplate": {"metadata": {"annotations": {"example.com/much": "x" * 900_000}}}},
            "annotations",
            id="a-megabyte-of-annotations",
        ),
        pytest.param(
            {"podTemplate": {"spec": {"containers": [{"name": "x" * 300, "image": "a:1"}]}}},
            "name",
            id="a-name",
            marks=pytest.mark.thorough,
        ),
    ],
)
async def test_monstrous_service_is_told_and_hinders_nobody(
    bench: FaultBench, spec: dict[str, Any], words: str
) -> None:
    replica = bench.lead()
    await bench.team.create("monster", **spec)
    await expect_told(bench, "monster", words)
    await bench.team.create("chat")
    await bench.converge("chat", *BASIC)
    await bench.team.quiet(1.2)
    bench.audit.mark()
    await asyncio.sleep(2)
    assert len(bench.writes()) <= 1, "I4: a refused child is tried again and again"
    bench.expect_health([replica])
