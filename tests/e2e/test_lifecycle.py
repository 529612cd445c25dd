"""What users do to a running service: scale it, change its model, break its children, delete it."""

import json
import shutil
import threading
import time
from pathlib import Path

import httpx
import pytest
from safetensors.numpy import load_file, save_file

from tests.e2e.world import World, eventually
from tests.models import build_model
from tests.quickstart.images import ROOT, model_image

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]

OWNED = "serviceaccount,configmap,deployment,service,horizontalpodautoscaler,servicemonitor,poddisruptionbudget"
SHALLOW = "localhost/models/demo-embed-shallow:dev"


@pytest.fixture(scope="module")
def embed(world: World) -> World:
    world.serve("embed", f"oci://{model_image('demo-embed')}", model={"servedName": "embed"})
    world.ready("embed")
    return world


@pytest.fixture(scope="module")
def shallow_model(world: World, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A second real embedding model: the first three layers of the demo model, packed as an image."""
    folder: Path = tmp_path_factory.mktemp("models") / "shallow"
    shutil.copytree(build_model("demo-embed"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    kept = {
        name: tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
        if "encoder.layer." not in name or int(name.split("encoder.layer.")[1].split(".")[0]) < 3
    }
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    world.cluster.build_image(SHALLOW, folder, ROOT / "tests" / "models" / "Dockerfile")
    return f"oci://{SHALLOW}"


def test_replicas_follow_when_scaled_through_the_scale_subresource(embed: World) -> None:
    embed.kubectl("scale", "msvc", "embed", "--replicas=2")
    service = embed.ready("embed")
    assert service["spec"]["replicas"] == 2
    assert service["status"]["readyReplicas"] == 2
    embed.kubectl("scale", "msvc", "embed", "--replicas=1")
    eventually(lambda: embed.ready("embed")["status"]["replicas"] == 1, what="one replica again")


class Client(threading.Thread):
    """Asks for embeddings one after the other until told to stop; keeps every status code and vector."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.stopping = threading.Event()
        self.codes: list[int | str] = []
        self.vectors: set[float] = set()

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                answer = httpx.post(
                    f"{self.url}/v1/embeddings", json={"model": "embed", "input": "a quiet evening"}, timeout=30
                )
                self.codes.append(answer.status_code)
                if answer.status_code == 200:
                    self.vectors.add(round(answer.json()["data"][0]["embedding"][0], 4))
            except httpx.HTTPError as error:
                self.codes.append(repr(error))


def test_no_request_fails_when_the_model_is_changed(embed: World, shallow_model: str) -> None:
    address = embed.get("service", "embed")["spec"]["clusterIP"]
    client = Client(f"http://{address}")
    client.start()
    try:
        eventually(lambda: len(client.codes) > 5, what="first answers")
        embed.serve("embed", shallow_model, model={"servedName": "embed"})
        embed.ready("embed")
        seen = len(client.codes)
        eventually(lambda: len(client.codes) > seen + 20, what="answers of the new model")
        eventually(lambda: len(embed.items("pods", "modelservice.dev/name=embed")) == 1, 60, "the old pod's end")
    finally:
        client.stopping.set()
        client.join(timeout=30)
    assert set(client.codes) == {200}
    assert len(client.vectors) == 2


@pytest.mark.parametrize("kind", OWNED.split(","))
def test_child_comes_back_when_deleted(embed: World, kind: str) -> None:
    embed.serve(
        "whole",
        f"oci://{model_image('demo-embed')}",
        autoscaling={"minReplicas": 1, "maxReplicas": 2, "metrics": [{"type": "CPU", "target": "80"}]},
        availability={"minAvailable": 1},
        observability={"serviceMonitor": {}, "dashboard": {}},
    )
    (child,) = eventually(lambda: embed.items(kind, "modelservice.dev/name=whole"), what=f"the {kind} of whole")
    embed.kubectl("delete", kind, child["metadata"]["name"], "--wait=false")

    def returned() -> bool:
        found = embed.items(kind, "modelservice.dev/name=whole")
        return len(found) == 1 and found[0]["metadata"]["uid"] != child["metadata"]["uid"]

    eventually(returned, what=f"the {kind}'s return")


def test_nothing_is_left_when_the_service_is_deleted(embed: World) -> None:
    embed.serve("whole", f"oci://{model_image('demo-embed')}")
    embed.kubectl("delete", "msvc", "whole", "--wait=true", "--timeout=60s")
    eventually(
        lambda: not embed.items(f"{OWNED},replicaset,pod,endpointslice", "modelservice.dev/name=whole"),
        90,
        "an empty world",
    )


def test_operator_is_quiet_when_all_has_converged(embed: World) -> None:
    embed.ready("embed")
    before = operator_writes(embed)
    assert before, "the audit log shows what the operator wrote so far"
    started = time.monotonic()
    eventually(lambda: time.monotonic() - started > 20, 30, "the quiet window")
    assert operator_writes(embed) == before


def operator_writes(world: World) -> list[str]:
    """Every write of the operator in the world's namespace, from the API server's audit log.

    The namespaces of earlier tests may still be going away, which no operator can be quiet about.
    """
    lines = world.cluster.audit_log.read_text().splitlines()
    entries = (json.loads(line) for line in lines if line.endswith("}"))
    return [
        f"{entry['verb']} {entry['requestURI']}"
        for entry in entries
        if "modelservice-system" in entry["user"]["username"]
        and entry["verb"] in {"create", "update", "patch", "delete"}
        and entry.get("objectRef", {}).get("namespace") == world.namespace
        and entry["stage"] == "ResponseComplete"
    ]
