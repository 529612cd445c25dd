"""Real control planes: side by side, after a kill, and gone without a trace."""

import json
import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.providers.local import remove_any
from tests.cluster.state import clusters_root, load_state
from tests.harness.world import processes_of
from tests.support.audit import WRITES
from tests.support.clusters import temporary

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(180)]


@pytest.fixture
def name() -> Iterator[str]:
    made = f"test-harness-{os.getpid()}"
    yield made
    remove_any(made)


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A cluster for this file: other tests of the session count on which CRDs theirs has."""
    with temporary(f"test-crds-{os.getpid()}", "control-plane") as cluster:
        yield cluster


def kill_all(name: str) -> None:
    state = load_state(name)
    assert state is not None
    for child in state.children:
        os.kill(child.pid, signal.SIGKILL)


def test_two_are_apart_when_up_at_the_same_time(control_plane: Cluster, name: str) -> None:
    other = Cluster.up(name, "control-plane")
    assert other.server_url != control_plane.server_url
    other.kubectl("create", "namespace", "only-here")
    assert "only-here" not in control_plane.kubectl("get", "namespaces", "-o", "name")


def test_up_returns_at_once_when_healthy(control_plane: Cluster) -> None:
    started = time.monotonic()
    again = Cluster.up(control_plane.name, "control-plane")
    assert time.monotonic() - started < 1
    assert again.server_url == control_plane.server_url


def test_up_recovers_when_everything_was_killed(name: str) -> None:
    Cluster.up(name, "control-plane").kubectl("create", "namespace", "before")
    kill_all(name)
    assert "before" not in Cluster.up(name, "control-plane").kubectl("get", "namespaces", "-o", "name")


def test_nothing_is_left_when_down(name: str) -> None:
    cluster = Cluster.up(name, "control-plane")
    assert processes_of(f"clusters/{name}/")
    cluster.down()
    assert processes_of(f"clusters/{name}/") == []
    assert not (clusters_root() / name).exists()
    with pytest.raises(ClusterError, match="there is none"):
        Cluster.find(name)


def test_audit_log_has_every_write_when_asked(control_plane: Cluster) -> None:
    control_plane.kubectl("create", "configmap", "audited", "--from-literal=a=b")
    control_plane.kubectl("delete", "configmap", "audited")
    events = [json.loads(line) for line in control_plane.audit_log.read_text().splitlines()]
    verbs = [event["verb"] for event in events if event.get("objectRef", {}).get("name") == "audited"]
    assert verbs == ["create", "delete"]
    reads = [event for event in events if event["verb"] not in WRITES]
    assert all("system:serviceaccounts" in event["user"]["groups"] for event in reads)
    assert not any("system:serviceaccounts:kube-system" in event["user"]["groups"] for event in reads)


def test_account_gets_a_token_when_asked(control_plane: Cluster) -> None:
    assert control_plane.kubectl("create", "token", "default").count(".") == 2


@pytest.mark.parametrize(
    ("crd", "resource"),
    [
        ("servicemonitor", "servicemonitors.monitoring.coreos.com"),
        ("prometheusrule", "prometheusrules.monitoring.coreos.com"),
        ("gateway-api", "httproutes.gateway.networking.k8s.io"),
        ("keda", "scaledobjects.keda.sh"),
    ],
)
def test_crd_is_served_when_installed_by_name(own: Cluster, crd: str, resource: str) -> None:
    own.install_crds(crd)
    assert resource in own.kubectl("get", "crds", "-o", "name")
    own.kubectl("get", resource)


def test_image_is_refused_when_there_is_no_node(control_plane: Cluster) -> None:
    with pytest.raises(ClusterError, match="has no node"):
        control_plane.has_image("localhost/a:dev")


def test_error_has_the_words_of_kubectl_when_it_fails(control_plane: Cluster) -> None:
    with pytest.raises(ClusterError, match="NotFound"):
        control_plane.kubectl("get", "namespace", "absent")
