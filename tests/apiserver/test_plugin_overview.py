"""`status`, `models`, `doctor`, `new` and the completion of names, against a real API server."""

import asyncio
import json
import os
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from tests.cluster import Cluster, binaries
from tests.support.kubelet import Kubelet
from tests.support.operators import Operators
from tests.support.plugin import ROOT, Plugin
from tests.support.team import Team, make_modelservice

pytestmark = pytest.mark.control_plane

CANARY = "canary-7f3a9c2e51d0"
SECRET = "secret-canary-0b8e6d4f"
GPU = {"resources": {"requests": {"memory": "3Gi"}}, "accelerator": {"count": 2}}
MODELS = (
    "hf://Qwen/Qwen2.5-0.5B-Instruct",
    "https://example.com/m",
    "s3://bucket/m",
    "pvc://claim/m",
    "oci://r.io/m:1",
)


@pytest.fixture
def plugin(served_control_plane: Cluster, team: Team) -> Plugin:
    return Plugin(served_control_plane, team.namespace)


async def test_fleet_and_progress_are_told_while_a_model_becomes_ready(
    operators: Operators, plugin: Plugin, team: Team, kubelet: Kubelet
) -> None:
    assert (await plugin.run("status", "-o", "json")).document == []
    leader = operators.start_leader()
    await team.create("chat", **GPU)
    await kubelet.expect("")
    await team.expect_condition("chat", "RuntimeReady", "False", "Starting")
    waiting = await plugin.run("status", "chat", "-o", "json")
    assert waiting.status == 2
    (told,) = waiting.document
    assert dict(told["steps"])["spec"] == "done"
    assert dict(told["steps"])["server"] != "done"

    watching = asyncio.create_task(plugin.run("status", "chat", "--watch", "--interval", "0.2"))
    await kubelet.make_ready("")
    seen = await asyncio.wait_for(watching, 30)
    assert seen.status == 0, seen.errors
    assert f"{team.namespace}/chat  Ready" in seen.text.splitlines()[-1]

    (chat,) = (await plugin.run("models", "--gpu-price", "1.5", "-o", "json")).document
    assert (chat["is_ready"], chat["gpus"], chat["memory_bytes"], chat["hourly_cost"]) == (True, 2, 3 << 30, 3.0)
    assert (chat["model"], chat["ready_replicas"], chat["wanted_replicas"]) == ("pvc://tests/tiny", 1, "1")
    assert chat["gpu_hours"] > 0
    header, row = (await plugin.run("models")).text.splitlines()
    columns = ["NAMESPACE", "NAME", "READY", "STATUS", "REPLICAS", "GPUS", "GPU-H", "MEMORY", "START", "MODEL", "SIZE"]
    assert header.split() == columns
    assert row.split()[:6] == [team.namespace, "chat", "True", "Ready", "1/1", "2"]
    owner = f'modelservice="chat",modelservice_namespace="{team.namespace}"'
    held = f'modelservice_operator_accelerator_seconds_total{{{owner},resource="nvidia.com/gpu"}}'
    assert leader.metric(held) > 0
    assert leader.metric("modelservice_operator_start_seconds_count") == 1


async def test_bundle_has_what_helps_and_no_secret(
    operators: Operators, plugin: Plugin, team: Team, kubelet: Kubelet, served_control_plane: Cluster, tmp_path: Path
) -> None:
    literals = (f"--from-literal=token={SECRET}", "--from-literal=user=nobody")
    served_control_plane.kubectl("-n", team.namespace, "create", "secret", "generic", "hub", *literals)
    reference = {"name": "HUB", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}
    service = make_modelservice(
        team.namespace, "chat", runtime={"env": [{"name": "GREETING", "value": CANARY}, reference]}
    )
    operators.start_leader()
    served_control_plane.kubectl("apply", "-f", "-", input=json.dumps(service))
    word = {"reason": "EngineError", "message": f"cannot start with {CANARY}", "hint": "none"}
    await kubelet.crash("", 1, word)
    await team.expect_condition("chat", "RuntimeReady", "False", "EngineError")

    archive = tmp_path / "doctor.tar.gz"
    answer = await plugin.run("doctor", "-f", str(archive), "-o", "json")

    assert answer.status == 0, answer.errors
    files = _read(archive)
    assert set(files) == set(answer.document["files"])
    assert all(secret not in text for text in files.values() for secret in (CANARY, SECRET))
    assert yaml.safe_load(files["modelservices/chat/modelservice.yaml"])["spec"]["runtime"]["env"] == [
        {"name": "GREETING", "value": "[redacted]"},
        reference,
    ]
    assert "cannot start with [redacted]" in files["modelservices/chat/why.txt"]
    assert json.loads(files["modelservices/chat/why.json"])["reason"] == "EngineError"
    assert json.loads(files["versions.json"])["server"]["gitVersion"].startswith("v1.")
    kinds = ("deployment", "service", "serviceaccount")
    assert {f"modelservices/chat/children/{kind}.yaml" for kind in kinds} <= set(files)
    assert any(path.startswith("modelservices/chat/pods/") for path in files)
    assert "the log of server" in files["README"]


def _read(archive: Path) -> dict[str, str]:
    """The files of an archive, by their paths in its one folder."""
    found = {}
    with tarfile.open(archive) as packed:
        for entry in packed.getmembers():
            content = packed.extractfile(entry)
            assert content is not None
            found[entry.name.split("/", 1)[1]] = content.read().decode()
    return found


@pytest.mark.parametrize("model", MODELS)
async def test_new_file_is_accepted_by_the_api_server(
    plugin: Plugin, served_control_plane: Cluster, tmp_path: Path, model: str
) -> None:
    path = tmp_path / "new.yaml"
    command = [sys.executable, "-m", "modelservice_operator.cli", "new", "--model", model, "--name", "fresh"]
    given = ("--gpus", "1", "--replicas", "1-3", "-f", str(path))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    process = await asyncio.create_subprocess_exec(*command, *given, env=environment)
    assert await process.wait() == 0
    first, *rest = path.read_text().splitlines()
    used = "\n".join(line.replace("# ", "", 1) if line.lstrip().startswith("#") else line for line in rest)
    for text in (path.read_text(), used):
        told = served_control_plane.kubectl("apply", "--dry-run=server", "-n", plugin.namespace, "-f", "-", input=text)
        assert "modelservice.modelservice.dev/fresh created" in told, first


async def test_kubectl_completes_the_names_of_modelservices(
    plugin: Plugin, team: Team, served_control_plane: Cluster, tmp_path: Path
) -> None:
    await team.create("chat")
    await team.create("embed")
    code = "from modelservice_operator.cli.__main__ import complete; complete()"
    for name, text in (("kubectl_complete-modelservice", f"-c '{code}'"), ("kubectl-modelservice", "-c pass")):
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {text} "$@"\n')
        script.chmod(0o755)
    path = f"{tmp_path}:{binaries.ensure(['kubectl'])}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "operator")}
    flags = ("--kubeconfig", str(served_control_plane.kubeconfig), "-n", team.namespace)
    process = await asyncio.create_subprocess_exec(
        "kubectl", "__complete", "modelservice", "why", *flags, "c", stdout=asyncio.subprocess.PIPE, env=environment
    )
    told, _ = await process.communicate()
    assert told.decode().splitlines() == ["chat", ":4"]
