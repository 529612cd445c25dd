"""kind-config.yaml, judged by kind's own strict parser; no container engine is needed.

kind decodes the file, asks its provider for information, validates the meaning, and only then wants an image. A stub
provider on PATH answers the question and fails at the image with a marker: a file is good when kind gets that far.
"""

import copy
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "kind-config.yaml"
MARKER = "STUB-WAS-ASKED-FOR-AN-IMAGE"
INFO = {
    "host": {"cgroupVersion": "v2", "cgroupControllers": ["cpu", "memory", "pids"], "security": {"rootless": False}}
}
STUB = f"""#!/bin/sh
case "$1" in
  -v|--version) echo "podman version 5.4.2" ;;
  ps) ;;
  info) echo '{json.dumps(INFO)}' ;;
  *) echo "{MARKER}" >&2; exit 1 ;;
esac
"""

pytestmark = pytest.mark.timeout(900)  # seconds; the first run may have to build the binary

Validate = Callable[[str], str]


@pytest.fixture
def validate(kind: Path, tmp_path: Path) -> Validate:
    """A function that gives a configuration to kind and returns everything that kind says."""
    provider = tmp_path / "bin" / "podman"
    provider.parent.mkdir()
    provider.write_text(STUB)
    provider.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{provider.parent}:{os.environ['PATH']}",
        "KIND_EXPERIMENTAL_PROVIDER": "podman",
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
    }

    def run(text: str) -> str:
        file = tmp_path / "kind.yaml"
        file.write_text(text)
        command = [str(kind), "create", "cluster", "--config", str(file)]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=60, cwd=ROOT, check=False
        )
        assert done.returncode != 0, "the stub has no image to give"
        return done.stdout + done.stderr

    return run


def changed(change: Callable[[dict[str, Any]], None]) -> str:
    """The configuration after `change`."""
    config = copy.deepcopy(yaml.safe_load(CONFIG.read_text()))
    change(config)
    return yaml.safe_dump(config)


def test_kind_accepts_the_configuration(validate: Validate) -> None:
    output = validate(CONFIG.read_text())
    assert MARKER in output, output


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda c: c.update(nodez=c.pop("nodes")), "field nodez not found in type v1alpha4.Cluster"),
        (lambda c: c["nodes"][0].update(lables={}), "field lables not found in type v1alpha4.Node"),
        (lambda c: c["nodes"][1].update(role="wurker"), '"wurker" is not a valid node role'),
        (
            lambda c: c["nodes"][1].update(extraPortMappings=[{"containerPort": 99999, "hostPort": 30080}]),
            "invalid containerPort: invalid port number: 99999",
        ),
        (lambda c: c.update(nodes=c["nodes"][1:]), "must have at least one control-plane node"),
        (lambda c: c.update(apiVersion="kind.x-k8s.io/v1alpha9"), "unknown apiVersion: kind.x-k8s.io/v1alpha9"),
        (lambda c: c.update(networking={"podSubnet": "10.244.0.0/99"}), "invalid pod subnet"),
    ],
    ids=["unknown key", "unknown key of a node", "role", "port", "no control plane", "version", "subnet"],
)
def test_kind_refuses_a_broken_copy_and_says_why(
    validate: Validate, change: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    output = validate(changed(change))
    assert complaint in output
    assert MARKER not in output


def nodes(role: str) -> list[dict[str, Any]]:
    return [node for node in yaml.safe_load(CONFIG.read_text())["nodes"] if node["role"] == role]


def test_there_is_one_control_plane_and_two_workers() -> None:
    assert (len(nodes("control-plane")), len(nodes("worker"))) == (1, 2)


def test_one_worker_is_a_gpu_pool_that_the_profile_nvidia_tolerates() -> None:
    _, pool = nodes("worker")
    (patch,) = (yaml.safe_load(text) for text in pool["kubeadmConfigPatches"])
    (taint,) = patch["nodeRegistration"]["taints"]
    profile = yaml.safe_load((ROOT / "charts/modelservice/values.yaml").read_text())["profiles"]["nvidia"]
    assert patch["kind"] == "JoinConfiguration"
    assert (taint["key"], taint["effect"]) == ("nvidia.com/gpu", "NoSchedule")
    assert {"key": taint["key"], "operator": "Exists", "effect": taint["effect"]} in profile["tolerations"]
    assert profile["accelerator"]["productLabel"] in pool["labels"]


def test_the_audit_policy_is_mounted_where_the_api_server_reads_it() -> None:
    (control_plane,) = nodes("control-plane")
    (mount,) = control_plane["extraMounts"]
    (patch,) = (yaml.safe_load(text) for text in control_plane["kubeadmConfigPatches"])
    server = patch["apiServer"]
    arguments = {each["name"]: each["value"] for each in server["extraArgs"]}
    volumes = {each["mountPath"]: each["hostPath"] for each in server["extraVolumes"]}
    assert (ROOT / mount["hostPath"]).is_file()
    assert volumes[arguments["audit-policy-file"]] == mount["containerPath"]
    assert str(Path(arguments["audit-log-path"]).parent) in volumes


def test_the_audit_policy_never_logs_the_content_of_objects() -> None:
    policy = yaml.safe_load((ROOT / "manifests/kind/audit-policy.yaml").read_text())
    assert policy["kind"] == "Policy"
    assert {rule["level"] for rule in policy["rules"]} <= {"None", "Metadata"}
