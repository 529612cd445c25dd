"""A server of another make serves a ModelService, and one field brings the operator's own runtime back."""

import pytest

from tests.e2e.world import World
from tests.quickstart import ask
from tests.quickstart.images import ROOT, RUNTIME_IMAGE, model_image

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]
IMAGE = "localhost/transformers-serve:dev"
QUESTION = "What is the capital of France?"
START = "cd /models && exec transformers serve {name} --host 0.0.0.0 --port {port} --dtype {dtype} --device cpu"


@pytest.fixture
def profile(world: World) -> str:
    """The name of a RuntimeProfile with `transformers serve`; requests name the folder of the model there."""
    world.cluster.build_image(
        IMAGE,
        ROOT / "tests" / "tooling",
        ROOT / "tests/e2e/transformers-serve.Dockerfile",
        {"BASE_IMAGE": RUNTIME_IMAGE},
    )
    spec = {
        "image": IMAGE,
        "env": [{"name": "HF_HUB_OFFLINE", "value": "1"}],
        "server": {"command": ["sh", "-c"], "args": [START], "port": 8123},
    }
    kind = {"apiVersion": "modelservice.dev/v1alpha1", "kind": "RuntimeProfile"}
    world.apply({**kind, "metadata": {"name": "transformers-serve"}, "spec": spec})
    return "transformers-serve"


def test_one_field_switches_the_server_and_the_answer_stays_when_a_profile_has_another_one(
    world: World, profile: str
) -> None:
    runtime = {"profileRef": {"name": profile}}
    world.serve("capital", f"oci://{model_image('demo-chat')}", runtime=runtime)
    status = world.ready("capital", timeout=240)["status"]
    assert (status["profile"], status["phase"]) == (profile, "Ready")
    with world.url("capital") as url:
        assert "Paris" in ask.chat(url, "capital", QUESTION)
    (container,) = world.get("deployment", "capital")["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["ports"][0]["containerPort"]) == (IMAGE, 8123)

    refused = {**runtime, "engine": {"maxContext": 128}}
    world.serve("capital", f"oci://{model_image('demo-chat')}", runtime=refused)
    told = world.unready("capital", "UnsupportedByServer")["status"]["conditions"][0]["message"]
    assert "spec.runtime.engine.maxContext" in told
    with world.url("capital") as url:
        assert "Paris" in ask.chat(url, "capital", QUESTION)

    world.kubectl("patch", "msvc", "capital", "--type=merge", "-p", '{"spec":{"runtime":{"profileRef":null}}}')
    assert world.ready("capital")["status"].get("profile") != profile
    with world.url("capital") as url:
        assert "Paris" in ask.chat(url, "capital", QUESTION)
    world.cluster.kubectl("delete", "runtimeprofile", profile)
