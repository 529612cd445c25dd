"""Twenty requests a second for minutes, while the model and then the operator are changed: no request fails."""

import io
import json
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.models import build_shallow_model
from tests.e2e.traffic import Traffic
from tests.e2e.world import OPTIONS, World, eventually
from tests.quickstart import install
from tests.quickstart.images import ROOT, model_image

pytestmark = [pytest.mark.node, pytest.mark.thorough, pytest.mark.timeout(900)]

OPERATOR_FILES = ("operator", "charts", "crds", "pyproject.toml")
EARLIER_IMAGE = "localhost/modelservice-operator:earlier"
CHILDREN = "serviceaccount,configmap,deployment,service,servicemonitor,poddisruptionbudget"
QUIET = 20.0
MODEL_SECONDS = 180.0


def verified() -> dict[str, Any]:
    """A rollout that takes back a model which does not answer with a vector."""
    body = {"model": "embed", "input": "a quiet evening"}
    golden = {"path": "/v1/embeddings", "body": json.dumps(body), "expect": '"embedding"'}
    return {"autoRollback": True, "verification": golden}


def test_no_request_fails_while_the_model_is_changed_and_a_wrong_one_is_taken_back(
    world: World, tmp_path: Path
) -> None:
    shallow = build_shallow_model(world.cluster, tmp_path / "shallow")
    served = {"servedName": "embed"}
    world.serve("embed", f"oci://{model_image('demo-embed')}", model=served, rollout=verified())
    world.ready("embed")
    with Traffic(world.address("embed"), "embed") as traffic:
        until = time.monotonic() + MODEL_SECONDS
        eventually(lambda: len(traffic.outcomes) > 100, what="first answers")
        world.serve("embed", shallow, model=served, rollout=verified())
        world.ready("embed", 180)
        world.serve("embed", f"oci://{model_image('demo-sentiment')}", model=served, rollout=verified())
        world.unready("embed", "GoldenRequestFailed", 180)
        eventually(lambda: time.monotonic() > until, MODEL_SECONDS, "the rest of the time")
    print(f"model changed under load: {traffic.told()}")
    assert traffic.failed == []
    assert len(traffic.models) == 2


@pytest.fixture
def earlier_operator(world: World, tmp_path: Path) -> Iterator[str]:
    """The version before the newest change of the operator, installed from its own chart; in the end this one."""
    commit = earlier_commit()
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(tmp_path, filter="data")
    world.cluster.build_image(EARLIER_IMAGE, tmp_path, tmp_path / "operator" / "Dockerfile")
    try:
        chart = tmp_path / install.CHART.relative_to(ROOT)
        install.install_operator(world.cluster, *OPTIONS, chart=chart, image=EARLIER_IMAGE)
        yield commit
    finally:
        install.install_operator(world.cluster, *OPTIONS)


def earlier_commit() -> str:
    """The parent of the newest commit that changed the operator's files.

    Raises:
        AssertionError: the checkout has no history of them.
    """
    command = ["git", "log", "-1", "--format=%P", "--", *OPERATOR_FILES]
    parents = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert parents, "the checkout has no earlier version of the operator: clone it with its history"
    return parents[0]


def children(world: World) -> dict[str, tuple[str, int]]:
    """Identity and generation of every object that the operator made for `steady`."""
    return {
        f"{item['kind']}/{item['metadata']['name']}": (
            item["metadata"]["uid"],
            item["metadata"].get("generation", 0),
        )
        for item in world.items(CHILDREN, "modelservice.dev/name=steady")
    }


def pods(world: World) -> dict[str, int]:
    """How often each pod of `steady` has been restarted."""
    return {
        pod["metadata"]["uid"]: sum(status["restartCount"] for status in pod["status"]["containerStatuses"])
        for pod in world.items("pods", "modelservice.dev/name=steady")
    }


def test_no_pod_is_restarted_and_no_child_written_when_the_operator_is_upgraded(
    world: World, earlier_operator: str
) -> None:
    world.serve(
        "steady",
        f"oci://{model_image('demo-embed')}",
        replicas=2,
        availability={"minAvailable": 1},
        observability={"serviceMonitor": {}, "dashboard": {}},
    )
    world.ready("steady", 180)
    before = (children(world), pods(world))
    assert {kind.split("/")[0].lower() for kind in before[0]} == set(CHILDREN.split(","))
    with Traffic(world.address("steady"), "steady") as traffic:
        eventually(lambda: len(traffic.outcomes) > 100, what="first answers")
        written = world.operator_writes()
        install.install_operator(world.cluster, *OPTIONS)
        settled = time.monotonic() + QUIET
        eventually(lambda: time.monotonic() > settled, 2 * QUIET, "some time with the new operator")
        wrote = world.operator_writes()[len(written) :]
    print(f"operator upgraded from {earlier_operator[:7]} under load: {traffic.told()}; its writes: {wrote}")
    assert traffic.failed == []
    assert (children(world), pods(world)) == before
    assert [write for write in wrote if "/status" not in write] == []
