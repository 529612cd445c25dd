"""Preflights with the real Job controller; the test stands in for the kubelet and says how the pods ended."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from modelservice_operator.api.names import PREFLIGHT
from modelservice_operator.kube.errors import Conflict
from modelservice_operator.kube.resources import MODEL_SERVICE, POD, Resource
from tests.support.audit import describe
from tests.support.operators import Operators
from tests.support.polling import until_async
from tests.support.preflights import COMMIT, INSPECTED, last_word
from tests.support.team import Team

pytestmark = pytest.mark.control_plane

Body = dict[str, Any]

MODEL = {"uri": "hf://tests/tiny"}
BEFORE = ("ServiceAccount", "Service")
BASIC = (*BEFORE, "Deployment")


async def _pod(team: Team, args: str = "") -> Body:
    """The pod of the preflight whose arguments hold the text, once the Job controller has made it."""
    found: list[Body] = []

    async def there() -> bool:
        async for page in team.api.list_pages(POD, team.namespace):
            found[:] = [pod for pod in page.items if args in json.dumps(pod["spec"]["containers"][0]["args"])]
        return len(found) == 1

    await until_async(there, 10)
    return found[0]


async def _end(team: Team, pod: Body, code: int, word: str, phase: str) -> None:
    """The pod gets a node, and its kubelet reports how the container ended.

    The scheduler, which has no node to give, is heard first, or it would write its verdict over the pod that has one.
    """

    async def judged() -> bool:
        seen = await team.api.get(POD, team.namespace, pod["metadata"]["name"])
        return any(each["type"] == "PodScheduled" for each in seen["status"].get("conditions", []))

    await until_async(judged, 20)
    binding = Resource("Binding", "", "v1", f"pods/{pod['metadata']['name']}/binding")
    target = {"apiVersion": "v1", "kind": "Node", "name": "node-1"}
    metadata = {"namespace": team.namespace, "name": pod["metadata"]["name"]}
    body = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
    await _until_accepted(lambda: team.api.create(binding, body))
    times = {"startedAt": "2026-01-31T08:00:00Z", "finishedAt": "2026-01-31T08:00:02Z"}
    ended = {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "message": word, **times}
    state = {"state": {"terminated": ended}, "lastState": {}, "ready": False, "restartCount": 0}
    status = {"name": "preflight", "image": "runtime", "imageID": "", **state}
    patch = {"phase": phase, "containerStatuses": [status]}

    async def report() -> None:
        current = await team.api.get(POD, team.namespace, pod["metadata"]["name"])
        version = current["metadata"]["resourceVersion"]
        await team.api.patch_status(POD, team.namespace, pod["metadata"]["name"], patch, version)

    await _until_accepted(report)


async def _until_accepted(write: Callable[[], Awaitable[object]]) -> None:
    """Write again while the scheduler or the Job controller wrote the pod at the same moment."""

    async def accepted() -> bool:
        try:
            await write()
        except Conflict:
            return False
        return True

    await until_async(accepted, 10)


async def _pass(team: Team, args: str = "") -> None:
    await _end(team, await _pod(team, args), 0, last_word("Completed", 0, result=INSPECTED), "Succeeded")


async def test_writes_stay_within_children_plus_two_when_a_preflight_passes(operators: Operators, team: Team) -> None:
    operators.start_leader()
    operators.audit.mark()
    await team.create("chat", model=MODEL)
    await team.expect_children(*BEFORE, name="chat")
    await team.expect_condition("chat", "Ready", "False", "NoMatchingNode")
    await _pass(team)
    await team.expect_children(*BASIC, name="chat")
    deployment = await team.get("Deployment", "chat")
    assert deployment is not None
    assert f"--revision={COMMIT}" in deployment["spec"]["template"]["spec"]["initContainers"][0]["args"]

    async def is_told() -> bool:
        status = (await team.get(MODEL_SERVICE.kind, "chat") or {}).get("status", {})
        return status.get("model", {}).get("resolvedRevision") == status.get("preflight", {}).get("resolvedRevision")

    await until_async(is_told, 20)
    await team.quiet()
    writes = operators.audit.writes()
    assert len(writes) <= 4 + 3, describe(writes)  # one of them tells that this control plane has no node


async def test_wrong_address_makes_no_pod_of_the_model_and_the_right_one_is_looked_up_at_once(
    operators: Operators, team: Team
) -> None:
    operators.start_leader()
    await team.create("chat", model={"uri": "hf://tests/nowhere"}, accelerator={"count": 1})
    pod = await _pod(team)
    await _end(team, pod, 66, last_word("ModelNotFound", 66, "tests/nowhere does not exist"), "Running")
    ready = await team.expect_condition("chat", "Ready", "False", "ModelNotFound")
    assert ready["message"] == "tests/nowhere does not exist"
    await team.expect_children(*BEFORE, name="chat")
    body = await team.get(MODEL_SERVICE.kind, "chat")
    assert body is not None
    assert (body["status"]["lastFailure"]["component"], body["status"]["lastFailure"]["exitCode"]) == ("preflight", 66)

    await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"].update(model=MODEL))
    await _pass(team, "tests/tiny")
    await team.expect_children(*BASIC, name="chat")


async def test_another_model_is_looked_up_while_the_first_one_stays(operators: Operators, team: Team) -> None:
    operators.start_leader()
    await team.create("chat", model=MODEL)
    await _pass(team)
    await team.expect_children(*BASIC, name="chat")
    before = await team.get("Deployment", "chat")
    await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"].update(model={"uri": "hf://tests/wrong"}))
    await _end(team, await _pod(team, "tests/wrong"), 77, last_word("ModelGated", 77, "gated"), "Running")
    await team.expect_condition("chat", "ModelAvailable", "False", "ModelGated")
    after = await team.get("Deployment", "chat")
    assert before is not None
    assert after is not None
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


async def test_annotation_skips_the_preflight_or_asks_for_another(operators: Operators, team: Team) -> None:
    operators.start_leader()
    await team.create("chat", model=MODEL)
    first = await _pod(team)

    def annotate(value: str) -> Any:
        return lambda body: body["metadata"].setdefault("annotations", {}).update({PREFLIGHT: value})

    await team.change(MODEL_SERVICE.kind, "chat", annotate("again"))

    async def is_replaced() -> bool:
        return (await _pod(team))["metadata"]["uid"] != first["metadata"]["uid"]

    await until_async(is_replaced, 10)
    await team.change(MODEL_SERVICE.kind, "chat", annotate("skip"))
    await team.expect_children(*BASIC, name="chat")
