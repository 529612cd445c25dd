"""A new revision that needs accelerators: added where there is room, else in place of the old one, else blocked."""

from typing import Any

import pytest

from modelservice_operator.domain import ApplyResults, ObservedState, compute_status, look_at, settle_revisions
from tests.support.builders import (
    Body,
    ModelServiceBuilder,
    PodBuilder,
    make_gpu_profile,
    make_live,
    make_modelservice,
    make_pod,
    render_all,
)
from tests.unit.domain.test_status import COUNTS, NOW

FULL = "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) had untolerated taint {a: b}."
BUSY = "0/2 nodes are available: 2 Insufficient cpu."
OLD = make_modelservice("oci://localhost/models/old:1").with_gpu(1)
NEW = make_modelservice("oci://localhost/models/new:1").with_gpu(1)
PROFILE = make_gpu_profile()
SURGE, IN_PLACE = {"maxSurge": 1, "maxUnavailable": 0}, {"maxSurge": 0, "maxUnavailable": 1}


def _pods(*old: PodBuilder, new: PodBuilder) -> list[Body]:
    return [pod.build() for pod in (*old, new)]


def _old(builder: ModelServiceBuilder = OLD) -> PodBuilder:
    return make_pod(builder.build(), "old", "1111", PROFILE).ready()


def _new(builder: ModelServiceBuilder = NEW) -> PodBuilder:
    return make_pod(builder.build(), "new", "2222", PROFILE)


def _state(builder: ModelServiceBuilder, pods: list[Body], strategy: Any = None) -> ObservedState:
    live = next(make_live(body) for body in render_all(builder.build(), PROFILE) if body["kind"] == "Deployment")
    live["status"] = {"observedGeneration": 1, **COUNTS, "replicas": 2}
    if strategy:
        live["spec"]["strategy"]["rollingUpdate"] = strategy
    return ObservedState({("Deployment", "chat"): live}, pods)


def _strategy(builder: ModelServiceBuilder, pods: list[Body], live: Any = None) -> Any:
    world = look_at(builder.build(), PROFILE, _state(builder, pods, live), ApplyResults())
    children = settle_revisions(render_all(builder.build(), PROFILE), world)
    return next(body for body in children if body["kind"] == "Deployment")["spec"]["strategy"]["rollingUpdate"]


def _progressing(builder: ModelServiceBuilder, pods: list[Body], live: Any = None) -> str:
    status = compute_status(builder.build(), PROFILE, _state(builder, pods, live), ApplyResults(), NOW)
    return next(str(entry["reason"]) for entry in status["conditions"] if entry["type"] == "Progressing")


def test_pod_is_added_while_the_scheduler_has_not_complained() -> None:
    assert _strategy(NEW, _pods(_old(), new=_new())) == SURGE
    assert _strategy(NEW, _pods(_old(), new=_new().scheduled())) == SURGE


def test_pods_are_replaced_one_at_a_time_when_no_accelerator_is_free() -> None:
    pods = _pods(_old(), new=_new().unschedulable(FULL))
    assert _strategy(NEW, pods) == IN_PLACE
    assert _progressing(NEW, pods, IN_PLACE) == "RollingOut"


def test_pods_are_replaced_one_at_a_time_when_no_device_is_free_for_their_claims() -> None:
    scheduling = {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]}
    uris = ("oci://localhost/models/old:1", "oci://localhost/models/new:1")
    old, new = (make_modelservice(uri).with_spec(scheduling=scheduling) for uri in uris)
    said = "0/1 nodes are available: 1 cannot allocate all claims. still not schedulable, preemption: 0/1 nodes are."
    pods = _pods(_old(old), new=_new(new).unschedulable(said))
    assert _strategy(new, pods) == IN_PLACE
    plain = make_modelservice("oci://localhost/models/old:1").with_gpu(1)
    assert _strategy(new, _pods(_old(plain), new=_new(new).unschedulable(said))) == SURGE


def test_replacing_goes_on_until_the_old_revision_is_gone() -> None:
    assert _strategy(NEW, _pods(_old(), new=_new().scheduled()), IN_PLACE) == IN_PLACE
    assert _strategy(NEW, _pods(new=_new().ready()), IN_PLACE) == SURGE


@pytest.mark.parametrize(
    ("new", "message"),
    [(NEW.with_gpu(2), FULL), (NEW, BUSY), (NEW.with_gpu(1, resource="nvidia.com/mig-1g.5gb"), FULL)],
)
def test_rollout_is_blocked_and_the_old_pod_stays_when_replacing_it_would_not_help(
    new: ModelServiceBuilder, message: str
) -> None:
    pods = _pods(_old(), new=_new(new).unschedulable(message))
    assert _strategy(new, pods) == SURGE
    assert _progressing(new, pods) == "RolloutBlocked"


def test_users_numbers_are_kept_when_there_are_some() -> None:
    chosen = NEW.with_spec(rollout={"maxSurge": 2})
    pods = _pods(_old(), new=_new(chosen).unschedulable(FULL))
    assert _strategy(chosen, pods) == {"maxSurge": 2, "maxUnavailable": 0}
