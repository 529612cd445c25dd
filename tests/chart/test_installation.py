"""The chart and the plain manifests on a real API server whose namespace enforces restricted pod security."""

import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.chart.rendering import NAMESPACE, RELEASE
from tests.chart.tools import ROOT
from tests.cluster import Cluster, ClusterError
from tests.support.clusters import temporary
from tests.support.polling import wait_until

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(900)]  # seconds; the first run may have to build programs

CHART = ROOT / "charts" / "modelservice"
OPERATOR = "modelservice-operator"
NUMBERS = itertools.count(1)
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@dataclass
class Installation:
    """A cluster, and Helm bound to it."""

    cluster: Cluster
    helm: Path
    folder: Path
    namespace: str

    def run(self, *arguments: str) -> str:
        """What Helm prints; a failure is an AssertionError with Helm's words."""
        own = {f"HELM_{name}_HOME": str(self.folder / name) for name in ("CACHE", "CONFIG", "DATA")}
        environment = os.environ | own | {"KUBECONFIG": str(self.cluster.kubeconfig)}
        command = [str(self.helm), *arguments, "--namespace", self.namespace]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def install(self, *arguments: str) -> str:
        """Install or upgrade the chart."""
        return self.run("upgrade", "--install", RELEASE, str(CHART), *arguments)

    def get(self, *arguments: str) -> dict[str, Any]:
        """Objects as the API server has them."""
        found: dict[str, Any] = json.loads(self.cluster.kubectl("get", *arguments, "-o", "json"))
        return found

    def profiles(self) -> dict[str, str]:
        """Names and uids of the profiles; empty while the kind does not exist."""
        try:
            items = self.get("runtimeprofiles")["items"]
        except ClusterError:
            return {}
        return {each["metadata"]["name"]: each["metadata"]["uid"] for each in items}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """An API server of its own: these tests add and remove the definitions that others rely on."""
    with temporary(f"test-chart-{os.getpid()}", "control-plane") as found:
        yield found


@pytest.fixture
def installation(cluster: Cluster, helm: Path, tmp_path: Path) -> Iterator[Installation]:
    """A cluster without our definitions, with an empty namespace that enforces the restricted standard."""
    namespace = f"{NAMESPACE}-{next(NUMBERS)}"
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": RESTRICTED}}
    cluster.kubectl("create", "-f", "-", input=json.dumps(manifest))
    yield Installation(cluster, helm, tmp_path, namespace)
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
    kinds, label = "crd,clusterrole,clusterrolebinding", "app.kubernetes.io/part-of=modelservice"
    cluster.kubectl("delete", kinds, "--selector", label, "--ignore-not-found", "--timeout=60s")


def test_the_chart_installs_and_its_pods_are_admitted_by_the_restricted_standard(installation: Installation) -> None:
    said = installation.install()
    assert "Install complete" in said
    assert installation.profiles().keys() == {"cpu", "nvidia"}

    wait_until(
        lambda: len(installation.get("pods", "--namespace", installation.namespace)["items"]) == 2,
        "two admitted pods",
        seconds=30,
    )


def test_the_namespace_would_refuse_a_pod_that_is_less_strict(installation: Installation) -> None:
    installation.install("--set", "securityContext.allowPrivilegeEscalation=true")
    template = installation.get("deployment", OPERATOR, "--namespace", installation.namespace)["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": template["spec"]}
    with pytest.raises(ClusterError, match="violates PodSecurity"):
        installation.cluster.kubectl(
            "create", "--namespace", installation.namespace, "--dry-run=server", "-f", "-", input=json.dumps(pod)
        )


def test_profiles_survive_the_upgrade_that_makes_them_part_of_the_release(installation: Installation) -> None:
    installation.install()
    before = installation.profiles()
    installation.install("--values", str(ROOT / "manifests" / "demo" / "values.yaml"))
    after = installation.profiles()
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {"simulated"}


def test_a_profile_of_the_release_goes_when_the_values_leave_it_out(installation: Installation) -> None:
    installation.install()
    installation.install()
    installation.install("--set", "profiles.nvidia=null")
    assert "nvidia" not in installation.profiles()


def test_uninstalling_keeps_the_definitions_and_installing_again_works(installation: Installation) -> None:
    installation.install()
    installation.run("uninstall", RELEASE)
    names = {each["spec"]["names"]["kind"] for each in installation.get("crd")["items"]}
    assert {"ModelService", "RuntimeProfile"} <= names
    installation.install()
    assert installation.profiles().keys() == {"cpu", "nvidia"}


def test_the_operator_may_do_what_it_needs_and_not_read_secrets(installation: Installation) -> None:
    installation.install()
    account = f"system:serviceaccount:{installation.namespace}:{OPERATOR}"

    def may(verb: str, resource: str, namespace: str = "default", subresource: str = "") -> bool:
        question = ("auth", "can-i", verb, resource, f"--subresource={subresource}", "--as", account, "-n", namespace)
        try:
            installation.cluster.kubectl(*question)
        except ClusterError:
            return False
        return True

    assert may("patch", "deployments.apps")
    assert may("patch", "modelservices.modelservice.dev", subresource="status")
    assert may("update", f"leases.coordination.k8s.io/{OPERATOR}", installation.namespace)
    assert not may("update", f"leases.coordination.k8s.io/{OPERATOR}")
    assert not may("patch", "modelservices.modelservice.dev")
    assert not any(may(verb, "secrets") for verb in ("get", "list", "watch"))


def test_the_plain_manifests_install_with_kubectl_alone(installation: Installation) -> None:
    for name in ("install.yaml", "profiles.yaml"):
        installation.cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "manifests" / name))
    assert installation.get("deployment", OPERATOR, "--namespace", NAMESPACE)["spec"]["replicas"] == 2
    assert installation.profiles().keys() == {"cpu", "nvidia"}


def test_the_api_server_takes_every_sample_and_demonstration(installation: Installation) -> None:
    installation.install()
    files = [*(ROOT / "manifests/samples").glob("*.yaml"), *(ROOT / "manifests/demo").glob("[!v]*.yaml")]
    installation.cluster.kubectl("create", "namespace", "demo")
    arguments = [part for file in files for part in ("-f", str(file))]
    said = installation.cluster.kubectl("apply", "--server-side", "--dry-run=server", *arguments)
    assert len(said.splitlines()) == len(files)
