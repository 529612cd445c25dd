"""Every way in which a model can be kept from serving, made on a real node: the reason that is told, and no other.

What the cluster showed is recorded where `SITUATIONS` names a folder; the unit tests judge the recordings again.
"""

import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from modelservice_operator.api.kinds import CHILD_KINDS
from tests.cluster import Cluster, ClusterError
from tests.e2e.world import World, eventually
from tests.models import build_model
from tests.quickstart import services
from tests.quickstart.images import ROOT, RUNTIME_IMAGE, model_image
from tests.support.hub import Access, Hub
from tests.support.situations import record

pytestmark = [pytest.mark.node, pytest.mark.thorough, pytest.mark.timeout(900)]

EMBED = f"oci://{model_image('demo-embed')}"
EMPTY = "localhost/models/nothing:dev"
NOWHERE = "localhost:1/nobody/nothing:1"
KINDS = ",".join(kind.plural for kind in CHILD_KINDS if not kind.optional) + ",servicemonitors"
AT_ONCE = 12
"""Services without a server that are tried at the same time."""
SETTLING = 2.0
"""Seconds from the first word of the reason until all conditions have been written."""
SILENT = "silent"
"""The hub that takes connections and never answers."""


@dataclass(frozen=True)
class Stage:
    """Where a situation is played: the namespace, and the addresses of hubs, by what they do."""

    world: World
    hubs: dict[str, str]

    def at(self, hub: str) -> dict[str, Any]:
        """The runtime block of a service that asks a hub."""
        return {"env": [{"name": "HF_ENDPOINT", "value": self.hubs[hub]}]}


@dataclass(frozen=True)
class Row:
    """A situation: what is asked for, and the reason that some condition gives. `model` is merged with the address."""

    name: str
    reason: str
    uri: str = EMBED
    model: dict[str, Any] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)
    hub: str = ""
    before: Callable[[World], object] | None = None
    seconds: float = 120.0
    passes: bool = False
    """Whether it is over by itself, so that it is recorded at once."""
    alone: bool = True
    """Whether what was seen suffices to judge it again: not what only an answer of the API server told."""


def _secret(token: str) -> Callable[[World], object]:
    return lambda world: world.kubectl("create", "secret", "generic", "wrong-token", f"--from-literal=token={token}")


def _claim(name: str, **spec: Any) -> Callable[[World], object]:
    wanted = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": wanted | spec}
    return lambda world: world.apply({**claim, "metadata": {"name": name, "namespace": world.namespace}})


def _quota(world: World) -> None:
    hard = {"requests.example.com/npu": "0"}
    metadata = {"name": "no-npu", "namespace": world.namespace}
    world.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}})


def _foreign_service(world: World) -> None:
    world.kubectl("create", "service", "clusterip", "name-is-taken", "--tcp=80")


def _profile(name: str, **spec: Any) -> Callable[[World], object]:
    body = {"apiVersion": "modelservice.dev/v1alpha1", "kind": "RuntimeProfile", "metadata": {"name": name}}
    return lambda world: world.apply({**body, "spec": spec})


def _uses(profile: str, **runtime: Any) -> dict[str, Any]:
    return {"profileRef": {"name": profile}, **runtime}


WAITING = (
    Row("cpus-are-missing", "InsufficientResources", spec={"resources": {"requests": {"cpu": "500"}}}),
    Row("memory-is-missing", "InsufficientResources", spec={"resources": {"requests": {"memory": "90Ti"}}}),
    Row("gpus-are-missing", "InsufficientGPU", spec={"accelerator": {"count": 8}}),
    Row("label-on-no-node", "NoMatchingNode", spec={"scheduling": {"nodeSelector": {"rack": "none"}}}),
    Row("product-on-no-node", "NoMatchingNode", spec={"accelerator": {"count": 1, "product": "A-Card"}}),
    Row("claim-is-missing", "ClaimPending", "pvc://nowhere/model"),
    Row("claim-is-unbound", "ClaimPending", "pvc://unbound/model", before=_claim("unbound")),
    Row(
        "device-claim-is-missing",
        "ClaimPending",
        spec={"scheduling": {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "nobody"}]}},
    ),
    Row("server-image-is-nowhere", "ImagePullFailed", spec={"runtime": {"image": NOWHERE}}),
    Row("model-image-is-nowhere", "ImagePullFailed", f"oci://{NOWHERE}"),
    Row("profile-is-missing", "ProfileNotFound", spec={"runtime": _uses("nobody")}),
    Row(
        "code-is-not-trusted",
        "RemoteCodeNotAllowed",
        "hf://demo/embed",
        {"trustRemoteCode": True, "revision": "0" * 40},
    ),
    Row(
        "server-cannot-quantize",
        "UnsupportedByServer",
        spec={"runtime": _uses("situations-other", engine={"quantization": "int8"})},
        before=_profile("situations-other", image=NOWHERE, server={}),
    ),
    Row("name-is-taken", "NameConflict", before=_foreign_service, alone=False),
    Row("quota-is-used-up", "QuotaExceeded", spec={"accelerator": {"resource": "example.com/npu"}}, before=_quota),
    Row("rules-are-not-served", "CRDMissing", spec={"observability": {"prometheusRule": {}}}),
    Row("pod-is-refused", "ApplyFailed", spec={"podTemplate": {"spec": {"hostNetwork": True}}}),
    Row("template-is-refused", "ApplyFailed", spec={"podTemplate": {"spec": {"dnsPolicy": "Nonsense"}}}, alone=False),
    Row("deadline-is-over", "DeadlineExceeded", f"oci://{NOWHERE}", spec={"rollout": {"progressDeadlineSeconds": 5}}),
    Row("suspended", "Suspended", spec={"suspend": True}),
    Row("no-replica", "ScaledToZero", spec={"replicas": 0}),
    Row(
        "cache-claim-is-missing",
        "CacheClaimNotFound",
        "hf://demo/embed",
        spec={"cache": {"strategy": "Shared", "claimName": "no"}},
    ),
    Row(
        "cache-claim-is-not-shared",
        "CacheClaimNotShared",
        "hf://demo/embed",
        spec={"cache": {"strategy": "Shared", "claimName": "single"}},
        before=_claim("single"),
    ),
)

LOOKING = (
    Row("model-is-nowhere", "ModelNotFound", "hf://demo/nowhere", hub="working"),
    Row("revision-is-nowhere", "ModelNotFound", "hf://demo/embed", {"revision": "v9"}, hub="working"),
    Row("model-is-gated", "ModelGated", "hf://demo/gated", hub="working"),
    Row(
        "token-is-wrong",
        "ModelAuthFailed",
        "hf://demo/private",
        {"secretRef": {"name": "wrong-token"}},
        hub="working",
        before=_secret("nonsense"),
    ),
    Row("secret-is-missing", "SecretNotFound", "hf://demo/gated", {"secretRef": {"name": "absent"}}, hub="working"),
    Row("hub-answers-503", "SourceUnavailable", "hf://demo/embed", hub="broken", seconds=240),
    Row(
        "hub-is-nowhere",
        "SourceUnavailable",
        "hf://demo/embed",
        spec={"runtime": {"env": [{"name": "HF_ENDPOINT", "value": "http://127.0.0.1:1"}]}},
        seconds=240,
    ),
    Row("architecture-is-unknown", "UnsupportedModel", "hf://demo/unknown", hub="working"),
    Row(
        "model-is-too-large",
        "ModelTooLarge",
        "hf://demo/embed",
        spec={"accelerator": {"count": 1}, "runtime": _uses("situations-small")},
        hub="working",
        before=_profile("situations-small", accelerator={"memory": "1Mi"}),
    ),
    Row("model-is-looked-up", "Resolving", "hf://demo/embed", hub=SILENT, passes=True),
    Row("model-is-fetched", "Downloading", "hf://demo/embed", hub="cutting", passes=True),
    Row("disk-is-too-small", "DiskFull", "hf://demo/embed", hub="boasting"),
    Row("file-is-damaged", "ChecksumMismatch", "hf://demo/embed", hub="damaging", seconds=180),
    Row(
        "loader-needs-memory",
        "LoaderOOMKilled",
        "hf://demo/embed",
        spec={"loader": {"resources": {"limits": {"memory": "16Mi"}}}},
        hub="working",
    ),
)

STARTING = (
    Row("device-is-missing", "AcceleratorMissing", spec={"accelerator": {"count": 1}}),
    Row("folder-is-no-model", "UnsupportedModel", f"oci://{EMPTY}"),
    Row("server-needs-memory", "OOMKilled", spec={"resources": {"limits": {"memory": "96Mi"}}}),
    Row("server-dies", "CrashLooping", spec={"runtime": {"env": [{"name": "PYTHONHOME", "value": "/nowhere"}]}}),
    Row("setting-is-unknown", "BadSettings", spec={"runtime": {"args": ["--engine-dtype", "nonsense"]}}),
    Row("start-takes-too-long", "ProbeTimeout", spec={"loader": {"startupBudgetSeconds": 1}}),
    Row(
        "answer-is-wrong",
        "GoldenRequestFailed",
        spec={"rollout": {"verification": {"path": "/v1/models", "expect": "no such words"}}},
    ),
    Row("serves", "Ready"),
)


@pytest.fixture(scope="module")
def stage(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Hubs on this machine that pods reach, with a public, a gated, a private and an unknown repository."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "demo").mkdir()
    for name in ("embed", "gated", "private"):
        (folder / "demo" / name).symlink_to(build_model("demo-embed"), target_is_directory=True)
    unknown = shutil.copytree(build_model("demo-embed"), folder / "demo" / "unknown")
    config = json.loads((unknown / "config.json").read_text())
    config |= {"architectures": ["NobodyModel"], "model_type": "nobody"}
    (unknown / "config.json").write_text(json.dumps(config))
    empty = tmp_path_factory.mktemp("nothing")
    (empty / "readme.txt").write_text("nothing to serve here\n")
    world.cluster.build_image(EMPTY, empty, ROOT / "tests" / "models" / "Dockerfile")
    access, host = Access(private=["demo/private"], gated=["demo/gated"]), world.cluster.host_address
    hubs = {name: Hub(folder, access, host=host) for name in ("working", "broken", "damaging", "cutting", "boasting")}
    hubs["broken"].break_status("/", 503, times=100_000)
    hubs["damaging"].break_content("tokenizer.json")
    hubs["cutting"].break_connection("tokenizer.json", after=1000, times=100_000)
    hubs["boasting"].claimed_sizes["tokenizer.json"] = 1 << 50
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server((host, 0)))
        for hub in hubs.values():
            stack.enter_context(hub)
        addresses = {name: hub.url for name, hub in hubs.items()}
        yield Stage(world, {**addresses, SILENT: f"http://{host}:{silent.getsockname()[1]}"})


def play(stage: Stage, row: Row) -> None:
    """Ask for what the row says, wait for its reason, record what was there, and take it away."""
    world, spec = stage.world, dict(row.spec)
    if row.before is not None:
        row.before(world)
    if row.hub:
        spec["runtime"] = {**stage.at(row.hub), **spec.get("runtime", {})}
    world.serve(row.name, row.uri, model=dict(row.model), **spec)
    try:
        services.wait_for(world.cluster, world.namespace, row.name, lambda found: _says(found, row.reason), row.seconds)
        if not row.passes:
            time.sleep(SETTLING)
        found = bodies(world, row.name)
    finally:
        world.kubectl("delete", "msvc", row.name, "--wait=false")
    folder = os.environ.get("SITUATIONS")
    if folder and row.alone:
        record(row.name, found, facts(world.cluster)).write(Path(folder))


def _says(service: dict[str, Any], reason: str) -> bool:
    """Whether a condition has the reason, of the newest spec."""
    status = service.get("status", {})
    seen = status.get("observedGeneration") == service["metadata"]["generation"]
    return seen and any(entry["reason"] == reason for entry in status.get("conditions", []))


def bodies(world: World, name: str) -> list[dict[str, Any]]:
    """The ModelService and what is around it, at a moment at which its status did not change."""

    def read() -> list[dict[str, Any]]:
        service = world.get("msvc", name)
        around = world.items(f"{KINDS},pods", f"modelservice.dev/name={name}")
        around += world.items("pods", f"modelservice.dev/preflight={name}")
        profiles = json.loads(world.cluster.kubectl("get", "runtimeprofiles", "-o", "json"))["items"]
        claims = world.items("persistentvolumeclaims")
        again = world.get("msvc", name)
        is_still = again["metadata"]["resourceVersion"] == service["metadata"]["resourceVersion"]
        return [service, *around, *profiles, *claims] if is_still else []

    found: list[dict[str, Any]] = eventually(read, 30, "a status that stays")
    return found


def facts(cluster: Cluster) -> dict[str, Any]:
    """What the operator knows about the cluster."""
    optional = [kind for kind in CHILD_KINDS if kind.optional and _is_served(cluster, kind.plural)]
    return {
        "default_runtime_image": RUNTIME_IMAGE,
        "optional_kinds": [kind.kind for kind in optional],
        "operator_namespace": "modelservice-system",
        "activator": [],
    }


def _is_served(cluster: Cluster, plural: str) -> bool:
    try:
        cluster.kubectl("explain", plural)
    except ClusterError:
        return False
    return True


@pytest.mark.parametrize("rows", [WAITING, LOOKING], ids=["before any server", "before any pod"])
def test_reason_is_told_when_no_server_can_start(stage: Stage, rows: tuple[Row, ...]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        played = {row.name: pool.submit(play, stage, row) for row in rows}
    wrong = {name: str(future.exception())[:2000] for name, future in played.items() if future.exception()}
    assert wrong == {}


@pytest.mark.parametrize("row", STARTING, ids=lambda row: row.name)
def test_reason_is_told_when_a_server_starts(stage: Stage, row: Row) -> None:
    play(stage, row)


def test_reason_is_untolerated_taint_when_the_node_has_one(stage: Stage) -> None:
    cluster = stage.world.cluster
    cluster.kubectl("taint", "nodes", "--all", "situations=yes:NoSchedule")
    try:
        play(stage, Row("node-is-tainted", "UntoleratedTaint"))
    finally:
        cluster.kubectl("taint", "nodes", "--all", "situations=yes:NoSchedule-")
