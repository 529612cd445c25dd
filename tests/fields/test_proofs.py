"""Every field of the spec has its effect: an operator acts on one ModelService for each row of the proofs."""

import json
import re
import uuid
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from modelservice_operator.api.kinds import CHILD_KINDS, ChildKind
from modelservice_operator.api.names import PREFLIGHT, SETTINGS
from tests.cluster import Cluster, ClusterError, crds
from tests.fields.proofs import BARE, PROFILE, PROFILE_SPEC, PROOFS, SERVICES, Proof
from tests.support.operators import OperatorProcess, served_control_plane
from tests.support.polling import wait_until
from tests.support.team import make_modelservice

__all__ = ["served_control_plane"]

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(300)]

Body = dict[str, Any]
PROJECTS = ("servicemonitor", "prometheusrule", "gateway-api", "keda")
_STEP = re.compile(r"([^.\[\]]+)|\[([^\]]+)\]")


class Children:
    """The children of all rows, as the API server has them."""

    def __init__(self, bodies: list[Body]) -> None:
        self._by_owner: defaultdict[str, dict[str, Body]] = defaultdict(dict)
        for body in bodies:
            self._by_owner[body["metadata"]["labels"]["modelservice.dev/name"]][body["kind"]] = body

    def read(self, owner: str, path: str) -> Any:
        """What is at a path, such as `Deployment spec.replicas`; None where there is nothing."""
        what, _, place = path.partition(" ")
        children = self._by_owner[owner]
        if what == "alert":
            rules = _at(children.get("PrometheusRule"), "spec.groups[0].rules") or ()
            return next((json.dumps(rule) for rule in rules if rule["alert"] == place), None)
        if what == "settings":
            text = children["Deployment"]["spec"]["template"]["metadata"]["annotations"][SETTINGS]
            return _at(yaml.safe_load(text), place)
        return _at(children.get(what), place)


def _at(value: Any, path: str) -> Any:
    for word, item in _STEP.findall(path):
        value = _item(value, item) if item else (value or {}).get(word)
    return value


def _item(values: Any, item: str) -> Any:
    """An item of a list by its position, name or key; of a map by its key."""
    if isinstance(values, dict):
        return values.get(item)
    if item.isdigit():
        return values[int(item)] if values and int(item) < len(values) else None
    return next((value for value in values or () if item in (value.get("name"), value.get("key"))), None)


def _manifest(namespace: str, name: str, spec: Body) -> Body:
    body = make_modelservice(namespace, name, **spec)
    body["metadata"]["annotations"] = {PREFLIGHT: "skip"}
    return body


@pytest.fixture(scope="module")
def children(served_control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    """What an operator made of all rows, and, last, of a ModelService that sets nothing."""
    cluster, namespace = served_control_plane, f"fields-{uuid.uuid4().hex[:8]}"
    install_optional(cluster)
    cluster.kubectl("create", "namespace", namespace)
    rows = [_manifest(namespace, name, spec) for name, spec in SERVICES.items()]
    profile = {"apiVersion": rows[0]["apiVersion"], "kind": "RuntimeProfile", "metadata": {"name": PROFILE}}
    profile["spec"] = PROFILE_SPEC
    operator = OperatorProcess(
        cluster.kubeconfig,
        tmp_path_factory.mktemp("operator") / "log",
        "fields",
        ("--lease-name", namespace, "--watch-namespaces", namespace, "--prometheus-url", "http://prometheus:9090"),
    )
    cluster.kubectl(
        "apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": [profile, *rows]})
    )
    try:
        operator.start()
        yield Children(_settled(cluster, namespace, len(rows)))
    finally:
        operator.close()
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")
        cluster.kubectl("delete", "runtimeprofile", PROFILE)
        cluster.kubectl("delete", "crd", *(_crd(kind) for kind in CHILD_KINDS if kind.optional), "--wait=true")


def install_optional(cluster: Cluster) -> None:
    """Install the CRDs of our optional kinds, and none that their projects have beside them."""
    wanted = {_crd(kind) for kind in CHILD_KINDS if kind.optional}
    found = [crd for project in PROJECTS for crd in crds.manifests(project) if crd["metadata"]["name"] in wanted]
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": found})
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=document)
    wait_until(lambda: all(_is_served(cluster, kind) for kind in CHILD_KINDS), "all kinds are served", 60, pause=0.5)


def _is_served(cluster: Cluster, kind: ChildKind) -> bool:
    try:
        cluster.kubectl("get", "--raw", kind.path("default"))
    except ClusterError:
        return False
    return True


def _crd(kind: ChildKind) -> str:
    return f"{kind.plural}.{kind.group}"


def _settled(cluster: Cluster, namespace: str, count: int) -> list[Body]:
    """The children once every row has a status, which is written after its children were applied."""

    def all_seen() -> bool:
        services = json.loads(cluster.kubectl("-n", namespace, "get", "modelservices", "-o", "json"))["items"]
        return sum("observedGeneration" in service.get("status", {}) for service in services) == count

    wait_until(all_seen, "every row has a status", 60, pause=0.5)
    kinds = ",".join(_crd(kind).rstrip(".") for kind in CHILD_KINDS)
    ours = ("-l", "app.kubernetes.io/managed-by=modelservice-operator")
    found: list[Body] = json.loads(cluster.kubectl("-n", namespace, "get", kinds, *ours, "-o", "json"))["items"]
    return found


@pytest.mark.parametrize("proof", PROOFS, ids=[proof.fields[0] for proof in PROOFS])
def test_child_has_what_the_field_asks_for(children: Children, proof: Proof) -> None:
    found, plain = (children.read(service, proof.path) for service in (proof.service, BARE))
    if proof.path.startswith("alert "):
        assert proof.value in found
    else:
        assert found == proof.value
    assert plain != found, "a ModelService that does not set the field has the same, so the row proves nothing"
