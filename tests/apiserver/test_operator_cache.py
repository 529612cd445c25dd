"""The claim of a cache is looked for before any pod, and its Job runs when the ModelService is gone."""

import json
from typing import Any

import pytest

from modelservice_operator.api.names import LABEL_COLLECTOR, LABEL_NAME
from modelservice_operator.kube.resources import MODEL_SERVICE
from tests.cluster import Cluster
from tests.support.operators import Operators
from tests.support.polling import until_async
from tests.support.team import Team, make_modelservice

pytestmark = pytest.mark.control_plane

URI = f"hf://org/name@{'7' * 40}"
BASIC = ("ServiceAccount", "Deployment", "Service")


def _claim(cluster: Cluster, team: Team, mode: str) -> None:
    spec = {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "none"}
    body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "models"}, "spec": spec}
    cluster.kubectl("-n", team.namespace, "apply", "-f", "-", input=json.dumps(body))


def _items(cluster: Cluster, team: Team, kind: str, label: str) -> list[dict[str, Any]]:
    found = json.loads(cluster.kubectl("-n", team.namespace, "get", kind, "-l", label, "-o", "json"))
    return list(found["items"])


async def _serve(team: Team, name: str, **spec: Any) -> None:
    """A ModelService whose commit is known, so that it needs no preflight."""
    cache = {"strategy": "Shared", "claimName": "models"}
    body = make_modelservice(team.namespace, name, **{"model": {"uri": URI}, "cache": cache, **spec})
    body["metadata"]["annotations"] = {"modelservice.dev/preflight": "skip"}
    await team.api.create(MODEL_SERVICE, body)


@pytest.mark.field("cache.strategy", "cache.claimName", "deletionPolicy")
async def test_claim_is_judged_and_the_cache_is_emptied_when_the_service_is_gone(
    operators: Operators, team: Team, served_control_plane: Cluster
) -> None:
    cluster = served_control_plane
    operators.start_leader()
    await _serve(team, "chat")
    await _serve(team, "kept", deletionPolicy="RetainCache")
    told = await team.expect_condition("chat", "SpecValid", "False", "CacheClaimNotFound")
    assert "'models' does not exist" in told["message"]

    _claim(cluster, team, "ReadWriteOnce")
    told = await team.expect_condition("chat", "SpecValid", "False", "CacheClaimNotShared")
    assert "ReadWriteMany" in told["message"]

    cluster.kubectl("-n", team.namespace, "delete", "pvc", "models")
    _claim(cluster, team, "ReadWriteMany")
    await team.expect_children(*BASIC, name="chat")
    await team.quiet()
    (job,) = _items(cluster, team, "jobs", LABEL_COLLECTOR)
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["ownerReferences"][0]["kind"] == "PersistentVolumeClaim"
    deployment = await team.get("Deployment", "chat")
    assert deployment is not None
    (init,) = deployment["spec"]["template"]["spec"]["initContainers"]
    assert init["args"][2].startswith("/cache/models/")

    operators.audit.mark()
    for name in ("chat", "kept"):
        await team.remove(MODEL_SERVICE.kind, name)

    async def collecting() -> bool:
        pods = _items(cluster, team, "pods", LABEL_COLLECTOR)
        return [pod["spec"]["containers"][0]["args"] for pod in pods] == [["collect", "/cache", "chat"]]

    await until_async(collecting, 40)
    assert _items(cluster, team, "pods", LABEL_NAME) == []
    (job,) = _items(cluster, team, "jobs", LABEL_COLLECTOR)
    assert job["spec"]["suspend"] is False
