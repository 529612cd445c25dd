"""A cache on a real node: two services, one of two replicas, one download, under restricted pod security."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.world import World, eventually
from tests.models import build_model
from tests.quickstart.images import OPERATOR_IMAGE
from tests.quickstart.install import CHART, RELEASE
from tests.support.hub import Hub

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]

REPOSITORY = "demo/embed"
FETCHED_ONLY = "tokenizer.json"
"""A file that a fetch brings and a preflight does not look at."""


@pytest.fixture(scope="module")
def hub(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A model hub on this machine that pods reach."""
    root = tmp_path_factory.mktemp("hub")
    (root / "demo").mkdir()
    (root / REPOSITORY).symlink_to(build_model("demo-embed"), target_is_directory=True)
    with Hub(root, host=world.cluster.host_address) as running:
        yield running


@pytest.fixture(scope="module")
def folders(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The cache that the chart makes for the namespace; what sees its folder on the node."""
    repository, _, tag = OPERATOR_IMAGE.rpartition(":")
    values = {
        "image": {"repository": repository, "tag": tag},
        "nodeCache": {"namespaces": [world.namespace], "namespace": "kube-system"},
    }
    file: Path = tmp_path_factory.mktemp("values") / "values.json"
    file.write_text(json.dumps(values))
    options = ("--namespace", "kube-system", "--values", str(file), "--show-only", "templates/node-cache.yaml")
    manifests = world.cluster.helm("template", RELEASE, str(CHART), *options)
    world.cluster.kubectl("apply", "-f", "-", input=manifests)
    daemon = "daemonset/modelservice-node-cache"
    world.cluster.kubectl("-n", "kube-system", "rollout", "status", daemon, "--timeout=60s")
    yield daemon
    for kind, name in (("daemonset", "modelservice-node-cache"), ("pvc", "modelservice-node-cache")):
        world.cluster.kubectl(
            "-n", "kube-system" if kind == "daemonset" else world.namespace, "delete", kind, name, "--wait=false"
        )
    world.cluster.kubectl("delete", "pv", f"modelservice-node-cache-{world.namespace}", "--wait=false")


def _listed(world: World, daemon: str, folder: str) -> list[str]:
    """The names in a folder of the namespace's cache."""
    code = f"import json, os; print(json.dumps(os.listdir('/folders/{world.namespace}/{folder}')))"
    found: list[str] = json.loads(
        world.cluster.kubectl("-n", "kube-system", "exec", daemon, "--", "python", "-c", code)
    )
    return found


def _inodes(world: World, service: str) -> set[str]:
    """Which file each pod of a service has as its weights."""
    pods = world.items("pods", f"modelservice.dev/name={service}")
    code = f"import os; s = os.stat('/models/{service}/model.safetensors'); print(s.st_dev, s.st_ino)"
    names = [pod["metadata"]["name"] for pod in pods]
    return {world.kubectl("exec", name, "-c", "server", "--", "python", "-c", code).strip() for name in names}


def test_pods_share_one_download_which_goes_with_its_last_service(world: World, hub: Hub, folders: str) -> None:
    spec = {"cache": {"strategy": "Node"}, "runtime": {"env": [{"name": "HF_ENDPOINT", "value": hub.url}]}}
    world.serve("first", f"hf://{REPOSITORY}", replicas=2, **spec)
    assert world.ready("first")["status"]["readyReplicas"] == 2
    world.serve("second", f"hf://{REPOSITORY}@main", **spec)
    world.ready("second")
    sent = [request for request in hub.requests if request.startswith("GET") and request.endswith(FETCHED_ONLY)]
    assert len(sent) == 1, sent
    assert len(_inodes(world, "first") | _inodes(world, "second")) == 1
    assert len(_listed(world, folders, "models")) == 1
    assert sorted(_listed(world, folders, "users")) == ["first", "second"]

    world.kubectl("delete", "msvc", "first", "--wait=true")
    eventually(lambda: _listed(world, folders, "users") == ["second"], 90, "first is collected")
    assert len(_listed(world, folders, "models")) == 1
    world.kubectl("delete", "msvc", "second", "--wait=true")
    eventually(lambda: _listed(world, folders, "users") == [], 90, "second is collected")
    assert _listed(world, folders, "models") == []
