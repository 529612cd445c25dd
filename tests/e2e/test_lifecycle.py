"""What users do to a running service: scale it, change its model, break its children, delete it."""

import time

import pytest

from tests.e2e.models import build_shallow_model
from tests.e2e.traffic import Traffic
from tests.e2e.world import World, eventually
from tests.quickstart.images import model_image

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]

OWNED = "serviceaccount,configmap,deployment,service,horizontalpodautoscaler,servicemonitor,poddisruptionbudget"


@pytest.fixture(scope="module")
def embed(world: World) -> World:
    world.serve("embed", f"oci://{model_image('demo-embed')}", model={"servedName": "embed"})
    world.ready("embed")
    return world


@pytest.fixture(scope="module")
def shallow_model(world: World, tmp_path_factory: pytest.TempPathFactory) -> str:
    return build_shallow_model(world.cluster, tmp_path_factory.mktemp("models") / "shallow")


def test_replicas_follow_when_scaled_through_the_scale_subresource(embed: World) -> None:
    embed.kubectl("scale", "msvc", "embed", "--replicas=2")
    service = embed.ready("embed")
    assert service["spec"]["replicas"] == 2
    assert service["status"]["readyReplicas"] == 2
    embed.kubectl("scale", "msvc", "embed", "--replicas=1")
    eventually(lambda: embed.ready("embed")["status"]["replicas"] == 1, what="one replica again")


def test_no_request_fails_when_the_model_is_changed(embed: World, shallow_model: str) -> None:
    with Traffic(embed.address("embed"), "embed") as traffic:
        eventually(lambda: len(traffic.outcomes) > 5, what="first answers")
        embed.serve("embed", shallow_model, model={"servedName": "embed"})
        embed.ready("embed")
        seen = len(traffic.outcomes)
        eventually(lambda: len(traffic.outcomes) > seen + 20, what="answers of the new model")
        eventually(lambda: len(embed.items("pods", "modelservice.dev/name=embed")) == 1, 60, "the old pod's end")
    assert traffic.failed == []
    assert len(traffic.models) == 2


@pytest.mark.parametrize("kind", OWNED.split(","))
def test_child_comes_back_when_deleted(embed: World, kind: str) -> None:
    embed.serve(
        "whole",
        f"oci://{model_image('demo-embed')}",
        autoscaling={"minReplicas": 1, "maxReplicas": 2, "metrics": [{"type": "CPU", "target": "80"}]},
        availability={"minAvailable": 1},
        observability={"serviceMonitor": {}, "dashboard": {}},
    )
    (child,) = eventually(lambda: embed.items(kind, "modelservice.dev/name=whole"), what=f"the {kind} of whole")
    embed.kubectl("delete", kind, child["metadata"]["name"], "--wait=false")

    def returned() -> bool:
        found = embed.items(kind, "modelservice.dev/name=whole")
        return len(found) == 1 and found[0]["metadata"]["uid"] != child["metadata"]["uid"]

    eventually(returned, what=f"the {kind}'s return")


def test_nothing_is_left_when_the_service_is_deleted(embed: World) -> None:
    embed.serve("whole", f"oci://{model_image('demo-embed')}")
    embed.kubectl("delete", "msvc", "whole", "--wait=true", "--timeout=60s")
    eventually(
        lambda: not embed.items(f"{OWNED},replicaset,pod,endpointslice", "modelservice.dev/name=whole"),
        90,
        "an empty world",
    )


def test_operator_is_quiet_when_all_has_converged(embed: World) -> None:
    embed.ready("embed")
    before = embed.operator_writes()
    assert before, "the audit log shows what the operator wrote so far"
    started = time.monotonic()
    eventually(lambda: time.monotonic() - started > 20, 30, "the quiet window")
    assert embed.operator_writes() == before


def test_operator_has_asked_for_nothing_that_its_role_does_not_allow(embed: World) -> None:
    assert embed.operator_writes(), "the audit log shows what the operator did under the role of the chart"
    assert embed.operator_denials() == set()
