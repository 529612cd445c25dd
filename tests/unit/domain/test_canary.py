"""A canary: a second Deployment beside what served, with its share by the gateway's weights or by replicas."""

from typing import Any

import pytest

from modelservice_operator.domain import ApplyResults, ObservedState, compute_status, look_at, settle_revisions
from modelservice_operator.domain.pods import revision_of
from modelservice_operator.render import stamp
from tests.support.builders import Body, ModelServiceBuilder, PodBuilder, make_live, make_modelservice, render_all
from tests.unit.domain.test_status import NOW

OLD = make_modelservice("oci://localhost/models/old:1")
NEW = make_modelservice("oci://localhost/models/new:1")
ROUTE = {"httpRoute": {"parentRefs": [{"name": "public"}]}}
Key = tuple[str, str]


def _spec(builder: ModelServiceBuilder, weight: int = 20, replicas: int = 5, **blocks: Any) -> ModelServiceBuilder:
    rollout = {"strategy": "Canary", "canary": {"weight": weight}, "autoRollback": True}
    return builder.with_spec(rollout=rollout, **({"replicas": replicas} if replicas else {}), **blocks)


class Cluster:
    """The Deployment controller and the kubelet: what is applied exists, and its pods are ready unless broken."""

    def __init__(self) -> None:
        self.live: dict[Key, Body] = {}
        self.broken: set[str] = set()

    def settle(self, builder: ModelServiceBuilder, steps: int = 3) -> dict[Key, Body]:
        """Reconcile a few times; return the children as they are wanted then."""
        for _ in range(steps):
            world = look_at(builder.build(), None, self._state(), ApplyResults())
            wanted = [stamp(manifest) for manifest in settle_revisions(render_all(builder.build()), world)]
            self.live = {(body["kind"], body["metadata"]["name"]): self._run(body) for body in wanted}
        return {(body["kind"], body["metadata"]["name"]): body for body in wanted}

    def status(self, builder: ModelServiceBuilder) -> Body:
        return compute_status(builder.build(), None, self._state(), ApplyResults(), NOW)

    def _run(self, body: Body) -> Body:
        live = make_live(body)
        if body["kind"] == "Deployment":
            count = live["spec"]["replicas"]
            ready = 0 if revision_of(body["spec"]["template"]) in self.broken else count
            live["status"] = {"observedGeneration": 1, "replicas": count, "updatedReplicas": count}
            live["status"] |= {"readyReplicas": ready, "availableReplicas": ready}
        return live

    def _state(self) -> ObservedState:
        deployments = [body for (kind, _), body in self.live.items() if kind == "Deployment"]
        return ObservedState(self.live, [pod for body in deployments for pod in self._pods(body)])

    def _pods(self, deployment: Body) -> list[Body]:
        template, pods = deployment["spec"]["template"], []
        for number in range(deployment["spec"]["replicas"]):
            pod = PodBuilder(template, f"{deployment['metadata']['name']}-{number}", revision_of(template)[:5])
            is_broken = revision_of(template) in self.broken
            pods.append((pod.scheduled().crashed("server", 76) if is_broken else pod.ready()).build())
        return pods


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def _runs(children: dict[Key, Body], name: str = "chat") -> tuple[str, Any]:
    spec = children["Deployment", name]["spec"]
    return revision_of(spec["template"]), spec.get("replicas")


def _revision(builder: ModelServiceBuilder) -> str:
    found = next(body for body in render_all(builder.build()) if body["kind"] == "Deployment")
    return revision_of(found["spec"]["template"])


def _reason(status: Body, type_: str) -> str:
    return next(str(entry["reason"]) for entry in status["conditions"] if entry["type"] == type_)


def test_first_revision_is_rolled_out_without_a_canary(cluster: Cluster) -> None:
    children = cluster.settle(_spec(OLD))
    assert _runs(children) == (_revision(OLD), 5)
    assert ("Deployment", "chat-canary") not in children


def test_replicas_are_shared_out_when_there_is_no_gateway(cluster: Cluster) -> None:
    cluster.settle(_spec(OLD))
    children = cluster.settle(_spec(NEW, weight=40))
    assert _runs(children) == (_revision(OLD), 3)
    assert _runs(children, "chat-canary") == (_revision(NEW), 2)
    selector = children["Deployment", "chat-canary"]["spec"]["selector"]["matchLabels"]
    labels = children["Deployment", "chat-canary"]["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= labels.items()
    assert selector["modelservice.dev/track"] == "canary"
    status = cluster.status(_spec(NEW, weight=40))
    assert _reason(status, "Progressing") == "CanaryServing"
    assert _reason(status, "RuntimeReady") == "Serving"
    assert (status["replicas"], status["replicasSummary"]) == (5, "5/5")
    assert "2 of 5 replicas" in str(status["conditions"])
    assert status["revision"]["canary"].startswith("chat-canary-")


@pytest.mark.parametrize(("replicas", "weight", "shares"), [(1, 10, (1, 1)), (2, 1, (1, 1)), (4, 99, (1, 4))])
def test_each_revision_has_a_replica_whatever_the_weight(
    cluster: Cluster, replicas: int, weight: int, shares: tuple[int, int]
) -> None:
    cluster.settle(_spec(OLD, replicas=replicas))
    children = cluster.settle(_spec(NEW, weight, replicas))
    assert (_runs(children)[1], _runs(children, "chat-canary")[1]) == shares


def test_gateway_shares_requests_out_once_the_canary_answers(cluster: Cluster) -> None:
    cluster.settle(_spec(OLD, network=ROUTE))
    new = _spec(NEW, network=ROUTE)
    first = cluster.settle(new, steps=1)
    assert [ref["name"] for ref in first["HTTPRoute", "chat"]["spec"]["rules"][0]["backendRefs"]] == ["chat"]
    children = cluster.settle(new)
    assert (_runs(children), _runs(children, "chat-canary")) == ((_revision(OLD), 5), (_revision(NEW), 1))
    assert children["HTTPRoute", "chat"]["spec"]["rules"][0]["backendRefs"] == [
        {"name": "chat-stable", "port": 80, "weight": 80},
        {"name": "chat-canary", "port": 80, "weight": 20},
    ]
    for track, builder in (("stable", OLD), ("canary", NEW)):
        service = children["Service", f"chat-{track}"]["spec"]
        assert service["selector"]["modelservice.dev/revision"] == _revision(builder)
        assert [port["name"] for port in service["ports"]] == ["http"]
    assert "20% of the requests" in str(cluster.status(new)["conditions"])


def test_autoscaler_keeps_its_replicas_and_the_canary_follows_them(cluster: Cluster) -> None:
    scaling = {"minReplicas": 1, "maxReplicas": 9}
    cluster.settle(_spec(OLD, replicas=0, autoscaling=scaling))
    cluster.live["Deployment", "chat"]["spec"]["replicas"] = 6
    children = cluster.settle(_spec(NEW, 25, 0, autoscaling=scaling), steps=1)
    assert _runs(children) == (_revision(OLD), None)
    assert _runs(children, "chat-canary") == (_revision(NEW), 2)


def test_weight_of_100_rolls_the_new_revision_out_and_ends_the_canary(cluster: Cluster) -> None:
    cluster.settle(_spec(OLD))
    cluster.settle(_spec(NEW))
    children = cluster.settle(_spec(NEW, weight=100))
    assert _runs(children) == (_revision(NEW), 5)
    assert ("Deployment", "chat-canary") not in children
    assert _reason(cluster.status(_spec(NEW, weight=100)), "Progressing") == "RolloutComplete"


def test_canary_ends_when_the_spec_goes_back(cluster: Cluster) -> None:
    cluster.settle(_spec(OLD))
    cluster.settle(_spec(NEW))
    children = cluster.settle(_spec(OLD))
    assert _runs(children) == (_revision(OLD), 5)
    assert ("Deployment", "chat-canary") not in children


def test_canary_is_taken_back_when_it_answers_wrongly(cluster: Cluster) -> None:
    cluster.broken.add(_revision(NEW))
    cluster.settle(_spec(OLD))
    cluster.settle(_spec(NEW), steps=1)
    assert _reason(cluster.status(_spec(NEW)), "Ready") == "GoldenRequestFailed"
    children = cluster.settle(_spec(NEW))
    assert _runs(children) == (_revision(OLD), 5)
    assert ("Deployment", "chat-canary") not in children
    status = cluster.status(_spec(NEW))
    assert _reason(status, "Progressing") == "RolledBack"
    assert status["revision"]["failed"].startswith("chat-canary-")


def test_canary_that_fails_stays_without_requests_when_nobody_asked_for_a_way_back(cluster: Cluster) -> None:
    rollout = {"strategy": "Canary"}
    cluster.broken.add(_revision(NEW))
    cluster.settle(OLD.with_spec(rollout=rollout, network=ROUTE))
    children = cluster.settle(NEW.with_spec(rollout=rollout, network=ROUTE))
    assert _runs(children, "chat-canary") == (_revision(NEW), 1)
    assert [ref["name"] for ref in children["HTTPRoute", "chat"]["spec"]["rules"][0]["backendRefs"]] == ["chat"]


def test_what_serves_is_kept_when_canary_and_new_model_come_in_one_change(cluster: Cluster) -> None:
    cluster.settle(OLD.with_spec(replicas=5))
    children = cluster.settle(_spec(NEW))
    assert _runs(children) == (_revision(OLD), 4)
    assert _runs(children, "chat-canary") == (_revision(NEW), 1)


def test_canary_stops_when_the_service_is_suspended(cluster: Cluster) -> None:
    cluster.settle(_spec(OLD))
    cluster.settle(_spec(NEW))
    children = cluster.settle(_spec(NEW, suspend=True))
    assert ("Deployment", "chat-canary") not in children
    assert _runs(children) == (_revision(OLD), 0)
