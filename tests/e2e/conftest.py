"""The node with images, models and the operator on it, made once a session; a namespace for each test file."""

import re
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.e2e.world import OPTIONS, World
from tests.quickstart import images, install


@pytest.fixture(scope="session")
def platform(node: Cluster) -> Cluster:
    """A real node with the two software images, the demo models and the operator installed from the chart."""
    images.build_software(node)
    images.build_models(node)
    node.set_gpus(2)
    node.install_crds("servicemonitor")
    install.install_operator(node, *OPTIONS)
    return node


@pytest.fixture(scope="module")
def world(platform: Cluster, request: pytest.FixtureRequest) -> Iterator[World]:
    """A namespace that enforces restricted pod security, removed at the end; nobody waits for it."""
    name = re.sub(r"[^a-z0-9]+", "-", request.module.__name__.rsplit(".", 1)[-1]).strip("-")
    install.ensure_namespace(platform, name)
    yield World(platform, name)
    platform.kubectl("delete", "namespace", name, "--wait=false")
