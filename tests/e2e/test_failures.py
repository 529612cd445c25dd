"""The person at 3 a.m.: each way in which a model does not start gives its own reason, with a way out."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.world import World
from tests.models import build_model
from tests.quickstart import ask
from tests.quickstart.images import ROOT, model_image
from tests.support.hub import Access, Hub
from tests.support.plugin import Plugin

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]
TOKEN = "hub-secret"
NEIGHBOUR = "from-hub"
SECONDS_TO_TELL = 15.0
"""What a person waits to learn that an address or a token is wrong, on a node that has the image."""


@pytest.fixture(scope="module")
def hub(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A model hub on this machine that pods reach: one public repository, one gated."""
    root = tmp_path_factory.mktemp("hub")
    for name in ("embed", "gated"):
        (root / "demo").mkdir(exist_ok=True)
        (root / "demo" / name).symlink_to(build_model("demo-embed"), target_is_directory=True)
    access = Access(tokens={TOKEN: ["demo/gated"]}, gated=["demo/gated"])
    with Hub(root, access, host=world.cluster.host_address) as running:
        yield running


@pytest.fixture(autouse=True)
def tidy(world: World) -> Iterator[None]:
    """One service at a time, but for the neighbour, so that two cores suffice."""
    yield
    for service in world.items("msvc"):
        if service["metadata"]["name"] != NEIGHBOUR:
            world.kubectl("delete", "msvc", service["metadata"]["name"], "--wait=true", "--timeout=60s")


def at(hub: Hub) -> dict[str, object]:
    return {"env": [{"name": "HF_ENDPOINT", "value": hub.url}]}


def test_model_is_served_when_it_comes_from_a_hub(world: World, hub: Hub) -> None:
    world.serve(NEIGHBOUR, "hf://demo/embed", runtime=at(hub))
    service = world.ready(NEIGHBOUR)
    commit = service["status"]["preflight"]["resolvedRevision"]
    assert len(commit) == 40
    (pod,) = world.items("pods", f"modelservice.dev/name={NEIGHBOUR}")
    assert f"--revision={commit}" in pod["spec"]["initContainers"][0]["args"]
    assert service["status"]["startup"]["downloadSeconds"] >= 0
    with world.url(NEIGHBOUR) as url:
        answer = httpx.post(f"{url}/v1/embeddings", json={"model": NEIGHBOUR, "input": ["a", "b"]}, timeout=30)
    assert [len(item["embedding"]) for item in answer.json()["data"]] == [384, 384]


def test_token_opens_a_gated_model_when_the_secret_is_there(world: World, hub: Hub) -> None:
    world.kubectl("create", "secret", "generic", "hub-token", f"--from-literal=token={TOKEN}")
    world.serve("gated", "hf://demo/gated", model={"secretRef": {"name": "hub-token"}}, runtime=at(hub))
    world.ready("gated")


@pytest.mark.parametrize(
    ("repository", "reason", "code"), [("demo/nowhere", "ModelNotFound", 66), ("demo/gated", "ModelGated", 77)]
)
def test_reason_is_told_before_any_pod_of_the_model_when_it_cannot_be_had(
    world: World, hub: Hub, repository: str, reason: str, code: int
) -> None:
    world.serve("not-to-be-had", f"hf://{repository}", runtime=at(hub), accelerator={"count": 1})
    failure = world.unready("not-to-be-had", reason, timeout=SECONDS_TO_TELL)["status"]["lastFailure"]
    assert (failure["component"], failure["exitCode"]) == ("preflight", code)
    assert repository in failure["message"]
    assert failure["hint"]
    assert world.items("pods", "modelservice.dev/name=not-to-be-had") == []


def test_reason_is_secret_not_found_when_the_secret_is_missing(world: World, hub: Hub) -> None:
    world.serve("no-secret", "hf://demo/gated", model={"secretRef": {"name": "absent"}}, runtime=at(hub))
    service = world.unready("no-secret", "SecretNotFound")
    assert "absent" in service["status"]["lastFailure"]["message"]


def test_reason_is_unsupported_model_when_the_folder_is_no_model(world: World, tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing to serve here\n")
    world.cluster.build_image("localhost/models/empty:dev", tmp_path, ROOT / "tests" / "models" / "Dockerfile")
    world.serve("no-model", "oci://localhost/models/empty:dev")
    failure = world.unready("no-model", "UnsupportedModel")["status"]["lastFailure"]
    assert failure["exitCode"] == 65
    assert "config.json" in failure["message"]


def test_reason_is_unsupported_model_when_the_weights_may_not_be_read(world: World, tmp_path: Path) -> None:
    folder = shutil.copytree(build_model("demo-embed"), tmp_path / "locked")
    (folder / "model.safetensors").chmod(0o600)
    world.cluster.build_image("localhost/models/locked:dev", folder, ROOT / "tests" / "models" / "Dockerfile")
    world.serve("locked", "oci://localhost/models/locked:dev")
    failure = world.unready("locked", "UnsupportedModel")["status"]["lastFailure"]
    assert failure["exitCode"] == 65
    assert "model.safetensors cannot be read: Permission denied" in failure["message"]
    assert "chmod" in failure["hint"]


async def test_reason_is_crash_looping_when_the_server_keeps_dying(world: World) -> None:
    world.serve(
        "crashing",
        f"oci://{model_image('demo-embed')}",
        runtime={"env": [{"name": "LD_PRELOAD", "value": ""}, {"name": "PYTHONHOME", "value": "/nowhere"}]},
    )
    failure = world.unready("crashing", "CrashLooping")["status"]["lastFailure"]
    assert failure["exitCode"] not in (0, None)
    found = (await Plugin(world.cluster, world.namespace).run("why", "crashing", "-o", "json")).document
    assert (found["reason"], found["log"]["container"]) == ("CrashLooping", "server")
    assert any("No module named 'encodings'" in line for line in found["log"]["lines"]), found["log"]
    assert found["operator"]["problem"] == found["operator"]["note"] == ""


def test_reason_is_image_pull_failed_when_the_image_is_nowhere(world: World) -> None:
    world.serve("no-image", f"oci://{model_image('demo-embed')}", runtime={"image": "localhost:1/nobody/nothing:1"})
    service = world.unready("no-image", "ImagePullFailed")
    assert "localhost:1/nobody/nothing:1" in service["status"]["lastFailure"]["message"]


def test_reason_is_insufficient_gpu_when_there_are_too_few(world: World) -> None:
    world.serve("too-many", f"oci://{model_image('demo-embed')}", accelerator={"count": 8})
    service = world.unready("too-many", "InsufficientGPU")
    assert "nvidia.com/gpu" in next(c for c in service["status"]["conditions"] if c["type"] == "Scheduled")["message"]


def test_reason_is_accelerator_missing_when_the_device_is_only_simulated(world: World) -> None:
    world.serve("no-device", f"oci://{model_image('demo-embed')}", accelerator={"count": 1})
    failure = world.unready("no-device", "AcceleratorMissing")["status"]["lastFailure"]
    assert failure["exitCode"] == 67


def test_simulated_profile_serves_on_the_cpu_and_says_so_when_chosen(world: World) -> None:
    world.serve(
        "simulated",
        f"oci://{model_image('demo-chat')}",
        accelerator={"count": 1},
        runtime={"profileRef": {"name": "simulated"}},
    )
    service = world.ready("simulated")
    assert "simulated" in str(service["status"]).lower()
    with world.url("simulated") as url:
        assert "Paris" in ask.chat(url, "simulated", "What is the capital of France?")


def test_neighbours_keep_serving_when_others_fail(world: World) -> None:
    assert world.ready(NEIGHBOUR)
