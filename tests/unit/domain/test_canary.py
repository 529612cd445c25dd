"""A canary: a second Deployment beside what served, with its share by the gateway's weights or by replicas."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from modelservice_operator.domain import (
    ApplyResults,
    Calls,
    ObservedState,
    compute_status,
    look_at,
    promotion_looks_in,
    settle_revisions,
)
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
        self.starting: set[str] = set()
        self.restarted: set[str] = set()
        self.now = NOW
        self.looks_in: float | None = None

    def settle(
        self, builder: ModelServiceBuilder, steps: int = 3, calls: tuple[Calls, Calls] | None = None
    ) -> dict[Key, Body]:
        """Reconcile a few times; return the children as they are wanted then."""
        for _ in range(steps):
            world = look_at(builder.build(), None, replace(self._state(), calls=calls), ApplyResults())
            wanted = [stamp(manifest) for manifest in settle_revisions(render_all(builder.build()), world)]
            self.live = {(body["kind"], body["metadata"]["name"]): self._run(body) for body in wanted}
            self.looks_in = promotion_looks_in(builder.build(), wanted, self.now)
        return {(body["kind"], body["metadata"]["name"]): body for body in wanted}

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def status(self, builder: ModelServiceBuilder) -> Body:
        return compute_status(builder.build(), None, self._state(), ApplyResults(), NOW)

    def _run(self, body: Body) -> Body:
        live = make_live(body)
        if body["kind"] == "Deployment":
            count = live["spec"]["replicas"]
            ready = 0 if revision_of(body["spec"]["template"]) in self.broken | self.starting else count
            live["status"] = {"observedGeneration": 1, "replicas": count, "updatedReplicas": count}
            live["status"] |= {"readyReplicas": ready, "availableReplicas": ready}
        return live

    def _state(self) -> ObservedState:
        deployments = [body for (kind, _), body in self.live.items() if kind == "Deployment"]
        return ObservedState(self.live, [pod for body in deployments for pod in self._pods(body)], seen_at=self.now)

    def _lead(self, pod: PodBuilder, revision: str) -> PodBuilder:
        """What becomes of a pod that has a node."""
        if revision in self.broken:
            return pod.crashed("server", 76)
        return pod if revision in self.starting else pod.ready()

    def _pods(self, deployment: Body) -> list[Body]:
        template, pods = deployment["spec"]["template"], []
        for number in range(deployment["spec"]["replicas"]):
            pod = PodBuilder(template, f"{deployment['metadata']['name']}-{number}", revision_of(template)[:5])
            pods.append(self._lead(pod.scheduled(), revision_of(template)).build())
            for status in pods[-1]["status"].get("containerStatuses", ()):
                status["restartCount"] = int(revision_of(template) in self.restarted)
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


def test_canary_beside_an_autoscaler_never_has_more_replicas_than_that_may_start(cluster: Cluster) -> None:
    scaling = {"minReplicas": 1, "maxReplicas": 9}
    cluster.settle(_spec(OLD, replicas=0, autoscaling=scaling))
    cluster.live["Deployment", "chat"]["spec"]["replicas"] = 6
    assert _runs(cluster.settle(_spec(NEW, 90, 0, autoscaling=scaling), steps=1), "chat-canary") == (_revision(NEW), 9)


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


def _stepped(builder: ModelServiceBuilder, *weights: int, **blocks: Any) -> ModelServiceBuilder:
    """Steps of a minute each."""
    steps = [{"weight": weight, "pauseSeconds": 60} for weight in weights]
    return builder.with_spec(rollout={"strategy": "Canary", "canary": {"steps": steps}}, replicas=5, **blocks)


def _told(status: Body) -> str:
    return next(str(entry["message"]) for entry in status["conditions"] if entry["type"] == "Progressing")


def test_canary_goes_from_step_to_step_and_is_rolled_out_by_itself(cluster: Cluster) -> None:
    new = _stepped(NEW, 20, 60)
    cluster.settle(_stepped(OLD, 20, 60))
    children = cluster.settle(new)
    assert (_runs(children)[1], _runs(children, "chat-canary")[1], cluster.looks_in) == (4, 1, 60)
    cluster.wait(59)
    assert _runs(cluster.settle(new), "chat-canary")[1] == 1
    assert "step 1 of 2, which lasts 60 s" in _told(cluster.status(new))
    cluster.wait(1)
    children = cluster.settle(new)
    assert (_runs(children)[1], _runs(children, "chat-canary")[1], cluster.looks_in) == (2, 3, 60)
    assert _runs(children) == (_revision(OLD), 2)
    cluster.wait(60)
    children = cluster.settle(new)
    assert _runs(children) == (_revision(NEW), 5)
    assert ("Deployment", "chat-canary") not in children
    assert (_reason(cluster.status(new), "Progressing"), cluster.looks_in) == ("RolloutComplete", None)


def test_gateway_gets_the_weight_of_each_step(cluster: Cluster) -> None:
    new = _stepped(NEW, 20, 60, network=ROUTE)
    cluster.settle(_stepped(OLD, 20, 60, network=ROUTE))
    for wanted in (20, 60):
        backends = cluster.settle(new)["HTTPRoute", "chat"]["spec"]["rules"][0]["backendRefs"]
        assert [ref["weight"] for ref in backends] == [100 - wanted, wanted]
        assert f"{wanted}% of the requests" in _told(cluster.status(new))
        cluster.wait(60)
    assert [ref["name"] for ref in cluster.settle(new)["HTTPRoute", "chat"]["spec"]["rules"][0]["backendRefs"]] == [
        "chat"
    ]


def test_time_of_a_step_begins_anew_when_the_canary_stops_answering(cluster: Cluster) -> None:
    new = _stepped(NEW, 20, 60)
    cluster.settle(_stepped(OLD, 20, 60))
    cluster.starting.add(_revision(NEW))
    cluster.settle(new)
    cluster.wait(600)
    assert (_runs(cluster.settle(new), "chat-canary")[1], cluster.looks_in) == (1, None)
    cluster.starting.clear()
    cluster.settle(new)
    cluster.wait(59)
    cluster.starting.add(_revision(NEW))
    cluster.settle(new, steps=1)
    cluster.starting.clear()
    cluster.settle(new)
    cluster.wait(59)
    assert _runs(cluster.settle(new), "chat-canary")[1] == 1
    cluster.wait(1)
    assert _runs(cluster.settle(new), "chat-canary")[1] == 3


def test_canary_whose_server_was_started_again_is_held(cluster: Cluster) -> None:
    new = _stepped(NEW, 20)
    cluster.settle(_stepped(OLD, 20))
    cluster.settle(new)
    cluster.restarted.add(_revision(NEW))
    cluster.wait(600)
    assert _runs(cluster.settle(new), "chat-canary")[1] == 1
    assert f"it is held: the server of pod chat-{_revision(NEW)[:5]}-chat-canary-0 had to be started again" in _told(
        cluster.status(new)
    )
    cluster.restarted.clear()
    cluster.settle(new)
    cluster.wait(60)
    assert _runs(cluster.settle(new)) == (_revision(NEW), 5)


@pytest.mark.parametrize(
    ("served", "tried", "goes_on"),
    [
        pytest.param(Calls(0, 900), Calls(5, 100), False, id="worse"),
        pytest.param(Calls(90, 900), Calls(5, 100), True, id="better than what served"),
        pytest.param(Calls(0, 900), Calls(1, 100), True, id="hardly any"),
        pytest.param(Calls(0, 900), Calls(0, 0), True, id="no request came"),
        pytest.param(Calls(0, 0), Calls(5, 100), False, id="nothing to compare with"),
    ],
)
def test_canary_that_fails_more_requests_than_what_served_is_held(
    cluster: Cluster, served: Calls, tried: Calls, goes_on: bool
) -> None:
    new = _stepped(NEW, 20)
    cluster.settle(_stepped(OLD, 20))
    cluster.settle(new)
    cluster.wait(60)
    children = cluster.settle(new, calls=(served, tried))
    assert (("Deployment", "chat-canary") not in children) is goes_on
    if not goes_on:
        assert "its servers failed 5.0% of 100 requests" in _told(cluster.status(new))
        assert cluster.looks_in == 60
        cluster.wait(60)
        assert _runs(cluster.settle(new, calls=(served, Calls(0, 500)))) == (_revision(NEW), 5)


def test_another_revision_begins_with_the_first_step(cluster: Cluster) -> None:
    newer = make_modelservice("oci://localhost/models/newer:1")
    cluster.settle(_stepped(OLD, 20, 60))
    cluster.settle(_stepped(NEW, 20, 60))
    cluster.wait(60)
    assert _runs(cluster.settle(_stepped(NEW, 20, 60)), "chat-canary")[1] == 3
    assert _runs(cluster.settle(_stepped(newer, 20, 60)), "chat-canary") == (_revision(newer), 1)


def test_annotation_that_somebody_broke_begins_the_steps_anew(cluster: Cluster) -> None:
    new = _stepped(NEW, 20, 60)
    cluster.settle(_stepped(OLD, 20, 60))
    cluster.settle(new)
    for broken in ("no JSON", "[]", '{"revision": 7}', '{"revision": "x", "step": -1}'):
        cluster.live["Deployment", "chat-canary"]["metadata"]["annotations"]["modelservice.dev/canary-stage"] = broken
        assert _runs(cluster.settle(new), "chat-canary") == (_revision(NEW), 1)
