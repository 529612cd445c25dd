"""A wrong model is refused by its answer to the golden request, while the right one goes on answering."""

import json

import pytest

from tests.e2e.world import World, eventually
from tests.quickstart import ask
from tests.quickstart.images import model_image

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]
QUESTION = "What is the capital of France?"
BODY = {"model": "capital", "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 48, "temperature": 0}
ROLLOUT = {
    "autoRollback": True,
    "verification": {"path": "/v1/chat/completions", "body": json.dumps(BODY), "expect": "Paris"},
}


def test_wrong_model_is_taken_back_and_the_right_one_answers_all_the_time(world: World) -> None:
    world.serve("capital", f"oci://{model_image('demo-chat')}", rollout=ROLLOUT)
    right = world.ready("capital")["status"]["revision"]["current"]
    eventually(lambda: "verified-template" in str(world.get("deployment", "capital")["metadata"]), what="the note")
    (pod,) = world.items("pods", "modelservice.dev/name=capital")
    with world.url("capital") as url:
        world.serve("capital", f"oci://{model_image('demo-embed')}", rollout=ROLLOUT)
        status = world.unready("capital", "GoldenRequestFailed", timeout=180)["status"]
        assert "Paris" in ask.chat(url, "capital", QUESTION)
    told = {entry["type"]: entry for entry in status["conditions"]}
    assert (told["Verified"]["status"], told["Progressing"]["reason"]) == ("False", "RolledBack")
    assert "/v1/chat/completions was answered with 400" in told["Verified"]["message"]
    eventually(lambda: len(world.items("pods", "modelservice.dev/name=capital")) == 1, 60, "the end of the wrong pod")
    (left,) = world.items("pods", "modelservice.dev/name=capital")
    assert left["metadata"]["uid"] == pod["metadata"]["uid"]
    assert left["status"]["containerStatuses"][0]["restartCount"] == 0
    revision = world.get("msvc", "capital")["status"]["revision"]
    assert revision["current"] == right
    assert revision["failed"] not in ("", right)
