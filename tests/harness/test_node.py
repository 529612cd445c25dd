"""A real node: names resolve in pods, images are built once, and nothing is left of it, whatever killed it."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.providers.local import remove_any
from tests.cluster.state import load_state
from tests.harness.world import added, machine, processes_of

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]
IMAGE = "localhost/harness-web:dev"
WEB = """
import http.server
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"served by the pod")
http.server.ThreadingHTTPServer(("", 8080), Page).serve_forever()
"""
DOCKERFILE = """ARG BASE_IMAGE=python:3.13-slim
FROM ${BASE_IMAGE}
COPY web.py /web.py
USER 65532
CMD ["python3", "-u", "/web.py"]
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "web.py").write_text(WEB)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    return tmp_path


@pytest.fixture
def name() -> Iterator[str]:
    made = f"test-harness-{os.getpid()}-b"
    yield made
    remove_any(made)


def run_web(cluster: Cluster) -> None:
    container = {
        "name": "web",
        "image": IMAGE,
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "team", "labels": {"app": "web"}},
    }
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "chat", "namespace": "team"}}
    items = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}},
        {**pod, "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}},
        {**service, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}},
    ]
    cluster.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    cluster.kubectl("wait", "-n", "team", "--for=condition=Ready", "pod/web", "--timeout=60s")


def fetch_in_pod(cluster: Cluster, url: str) -> str:
    """What the URL answers in the pod; asked until kube-proxy knows the endpoint, at most ten seconds."""
    script = f"import urllib.request; print(urllib.request.urlopen({url!r}, timeout=10).read().decode())"
    deadline = time.monotonic() + 10
    while True:
        try:
            return cluster.kubectl("exec", "-n", "team", "web", "--", "python3", "-c", script).strip()
        except ClusterError as problem:
            if "Connection refused" not in str(problem) or time.monotonic() > deadline:
                raise


def kill_first(name: str) -> None:
    state = load_state(name)
    assert state is not None
    for child in state.children:
        os.kill(child.pid, signal.SIGKILL)


def test_service_answers_by_its_short_name_when_asked_from_a_pod(node: Cluster, context: Path) -> None:
    node.build_image(IMAGE, context, context / "Dockerfile")
    run_web(node)
    try:
        assert fetch_in_pod(node, "http://chat.team.svc") == "served by the pod"
        assert fetch_in_pod(node, "http://chat") == "served by the pod"
        address = node.kubectl("get", "service", "-n", "team", "chat", "-o", "jsonpath={.spec.clusterIP}")
        with socket.create_connection((address, 80), timeout=5) as direct:
            direct.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert direct.recv(100).startswith(b"HTTP/1.0 200")
    finally:
        node.kubectl("delete", "namespace", "team", "--timeout=60s")


def test_image_is_built_once_when_its_inputs_stay(node: Cluster, context: Path) -> None:
    node.build_image(IMAGE, context, context / "Dockerfile")
    before, started = node.image_digest(IMAGE), time.monotonic()
    node.build_image(IMAGE, context, context / "Dockerfile")
    assert time.monotonic() - started < 1
    assert node.image_digest(IMAGE) == before
    (context / "web.py").write_text(WEB + "# changed\n")
    node.build_image(IMAGE, context, context / "Dockerfile")
    assert node.image_digest(IMAGE) != before


def test_error_has_the_words_of_the_build_when_it_fails(node: Cluster, context: Path) -> None:
    (context / "Dockerfile").write_text(DOCKERFILE + "USER 0\nRUN echo the disk is a teapot && false\n")
    with pytest.raises(ClusterError, match="the disk is a teapot"):
        node.build_image("localhost/harness-broken:dev", context, context / "Dockerfile")
    assert not node.has_image("localhost/harness-broken:dev")


def test_node_offers_gpus_when_told_to(node: Cluster) -> None:
    node.set_gpus(2)
    assert node.kubectl("get", "nodes", "-o", r"jsonpath={.items[*].status.allocatable.nvidia\.com/gpu}") == "2"
    node.set_gpus(0)


def test_second_node_is_apart_and_leaves_nothing_when_down(node: Cluster, name: str, context: Path) -> None:
    before = machine()
    second = Cluster.up(name, "node")
    second.build_image(IMAGE, context, context / "Dockerfile")
    run_web(second)
    assert fetch_in_pod(second, "http://chat.team.svc") == "served by the pod"
    assert "team" not in node.kubectl("get", "namespaces", "-o", "name").split()
    second.down()
    assert added(before) == {}
    assert processes_of(f"clusters/{name}/") == []
    node.kubectl("get", "--raw", "/readyz")


def test_node_recovers_with_its_images_when_everything_was_killed(node: Cluster, name: str, context: Path) -> None:
    before = machine()
    first = Cluster.up(name, "node")
    first.build_image(IMAGE, context, context / "Dockerfile")
    run_web(first)
    digest = first.image_digest(IMAGE)
    kill_first(name)
    again = Cluster.up(name, "node")
    assert again.image_digest(IMAGE) == digest
    run_web(again)
    assert fetch_in_pod(again, "http://chat.team.svc") == "served by the pod"
    again.down()
    assert added(before) == {}
