"""The main job on a real node: apply, Ready, a true answer, streaming, the cluster's own name for the service."""

import json

import httpx
import pytest

from tests.e2e.world import World
from tests.quickstart import ask
from tests.quickstart.images import model_image
from tests.support.plugin import Plugin

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]
QUESTION = "What is the capital of France?"


@pytest.fixture(scope="module")
def chat(world: World) -> World:
    world.serve("chat", f"oci://{model_image('demo-chat')}")
    world.ready("chat")
    return world


def test_answer_is_true_when_asked_through_the_service(chat: World) -> None:
    with chat.url("chat") as url:
        assert "Paris" in ask.chat(url, "chat", QUESTION)


def test_stream_gives_the_same_answer_in_many_pieces_when_asked_for(chat: World) -> None:
    body = {
        "model": "chat",
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": 48,
        "temperature": 0,
        "stream": True,
    }
    with chat.url("chat") as url:
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as response:
            lines = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]
        whole = ask.chat(url, "chat", QUESTION)
    pieces = [json.loads(line)["choices"][0]["delta"].get("content") or "" for line in lines[:-1]]
    assert lines[-1] == "[DONE]"
    assert sum(1 for piece in pieces if piece) > 3
    assert "".join(pieces).strip() == whole


def test_name_resolves_in_a_pod_when_the_service_is_asked_by_its_url(chat: World) -> None:
    url = chat.ready("chat")["status"]["url"]
    assert url == f"http://chat.{chat.namespace}.svc"
    code = f"import urllib.request; print(urllib.request.urlopen('{url}/v1/models', timeout=10).read().decode())"
    assert json.loads(chat.inside("chat", code))["data"][0]["id"] == "chat"


def test_startup_is_split_in_status_when_the_pod_became_ready(chat: World) -> None:
    startup = chat.ready("chat")["status"]["startup"]
    parts = ("scheduledSeconds", "imagePullSeconds", "loadSeconds", "warmupSeconds")
    assert all(startup[part] >= 0 for part in parts)
    assert startup["totalSeconds"] >= startup["loadSeconds"] > 0


def test_status_tells_what_is_served_when_the_model_is_loaded(chat: World) -> None:
    status = chat.ready("chat")["status"]
    assert status["phase"] == "Ready"
    assert status["model"]["architecture"] == "LlamaForCausalLM"
    assert status["model"]["format"] == "safetensors"
    assert status["model"]["parameters"] > 100_000_000
    assert {child["state"] for child in status["children"]} == {"InSync"}


def test_columns_read_well_when_listed(chat: World) -> None:
    header, row = chat.kubectl("get", "msvc", "chat").splitlines()
    assert header.split() == ["NAME", "READY", "STATUS", "REPLICAS", "MODEL", "PROFILE", "AGE"]
    assert row.split()[:4] == ["chat", "True", "Ready", "1/1"]


async def test_plugin_gets_the_answer_through_a_port_forward_when_it_tries_the_model(chat: World) -> None:
    answer = await Plugin(chat.cluster, chat.namespace).run("try", "chat", QUESTION, "--max-tokens", "48")
    assert answer.status == 0, answer.errors
    assert "Paris" in answer.text


async def test_plugin_says_where_to_look_when_there_is_nothing_to_try(chat: World) -> None:
    answer = await Plugin(chat.cluster, chat.namespace).run("try", "nobody", QUESTION)
    assert answer.status == 1
    assert 'modelservices.modelservice.dev "nobody" not found' in answer.errors
