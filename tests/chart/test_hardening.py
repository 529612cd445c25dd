"""Every pod that the chart or the operator makes is as strict as can be, whichever options made it.

The tests of each component say what is special to it. These go over all of them at once, so that a component, an
option or a kind of child that comes later is held to the same rules without a test of its own.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import Chart, Object
from tests.chart.restricted import violations
from tests.chart.tools import ROOT

pytestmark = pytest.mark.timeout(900)  # seconds; the first run may have to build Helm

EVERY_OPTION = {
    "activator": {"enabled": True},
    "metricsAdapter": {"enabled": True},
    "nodeCache": {"namespaces": ["team-a"]},
    "metrics": {"serviceMonitor": {"enabled": True}},
}
CHILDREN = sorted((ROOT / "tests" / "golden").glob("*.yaml"))
FOLDERS_ON_NODES = "DaemonSet/modelservice-node-cache"
"""It has the kubelet make folders on the node's disk, as only a hostPath can; it may run in a namespace of its own."""
SIDECARS = {"proxy"}
"""Containers that a golden file's `podTemplate` adds: what is in them is the user's."""


@pytest.fixture(scope="module")
def pods_of_chart(chart: Chart) -> dict[str, Object]:
    return dict(pods(chart.render(EVERY_OPTION)))


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """The pod of each object that has a template of one, by kind and name."""
    for each in objects:
        if "template" in (each.get("spec") or {}):
            yield f"{each['kind']}/{each['metadata']['name']}", each["spec"]["template"]["spec"]


def containers(pod: Object) -> list[Object]:
    """The containers of a pod that are ours."""
    return [c for c in (*pod.get("initContainers", ()), *pod["containers"]) if c["name"] not in SIDECARS]


def laxities(pod: Object) -> Iterator[str]:
    """What a pod allows beyond its needs: more than the restricted standard asks for."""
    if "serviceAccountName" not in pod and pod.get("automountServiceAccountToken") is not False:
        yield "the token of the default service account"
    for container in containers(pod):
        name = container["name"]
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            yield f"{name}: a root that can be written to"
        if "memory" not in container.get("resources", {}).get("requests", {}):
            yield f"{name}: no request of memory"
        if container["image"].endswith(":latest") or ":" not in container["image"].rpartition("/")[2]:
            yield f"{name}: an image without a version"
        yield from (f"{name}: {v['name']} has a value that looks secret" for v in _plain_secrets(container))


def _plain_secrets(container: Object) -> Iterator[dict[str, Any]]:
    for variable in container.get("env", ()):
        if variable.get("value") and any(word in variable["name"] for word in ("TOKEN", "PASSWORD", "SECRET_ACCESS")):
            yield variable


def test_every_pod_of_the_chart_is_restricted(pods_of_chart: dict[str, Object]) -> None:
    assert len(pods_of_chart) >= 4
    found = {name: list(violations(pod)) for name, pod in pods_of_chart.items()}
    assert found.pop(FOLDERS_ON_NODES) == ["volume folder-0"]
    assert not any(found.values()), found


def test_every_pod_of_the_chart_has_what_it_needs_and_no_more(pods_of_chart: dict[str, Object]) -> None:
    found = {name: list(laxities(pod)) for name, pod in pods_of_chart.items()}
    assert found.pop(FOLDERS_ON_NODES) == []
    assert not any(found.values()), found
    for name, pod in pods_of_chart.items():
        assert all("memory" in c["resources"]["limits"] for c in containers(pod)), name


@pytest.mark.parametrize("file", CHILDREN, ids=lambda file: file.stem)
def test_every_pod_of_a_model_is_restricted_and_has_no_token(file: Path) -> None:
    for name, pod in pods([each for each in yaml.safe_load_all(file.read_text()) if each]):
        ours = {**pod, "containers": containers(pod), "initContainers": []}
        assert [*violations(ours), *laxities(ours)] == [], name
        assert pod["automountServiceAccountToken"] is False, name
