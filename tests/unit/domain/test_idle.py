"""Scaling to zero: only what is settled and quiet goes, and what went stays until somebody wakes it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from modelservice_operator.api.names import IDLE
from modelservice_operator.domain import (
    AWAKE,
    Apply,
    ApplyResults,
    Door,
    ObservedState,
    Rest,
    Stillness,
    compute_status,
    follow_schedules,
    judge_rest,
    plan,
)
from modelservice_operator.domain.plan import Observed
from tests.support.builders import (
    FACTS,
    OWNER_UID,
    Body,
    PodBuilder,
    make_deployment,
    make_modelservice,
    make_pod,
    render_all,
)

MOUNTED = make_modelservice("oci://localhost/models/demo-chat:dev")
SCALING = {"minReplicas": 0, "maxReplicas": 4, "idle": {"scaleToZeroAfterSeconds": 300}}
SLEEPY = MOUNTED.with_spec(autoscaling=SCALING)
QUIET = Stillness(quiet=300)
ONE = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
KEY = "Deployment", "chat"
NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)


def _render(rest: Rest = AWAKE, builder: Any = SLEEPY) -> list[Body]:
    return render_all(builder.build(), rest=rest)


def _deployment(manifests: list[Body]) -> Body:
    return next(manifest for manifest in manifests if manifest["kind"] == "Deployment")


def _live(rest: Rest = AWAKE, replicas: int = 1, **status: int) -> Body:
    live = make_deployment(_render(rest), **(status or ONE))
    live["spec"]["replicas"] = replicas
    return live


def _judge(live: Body, *pods: PodBuilder, still: Stillness = QUIET, builder: Any = SLEEPY) -> bool:
    return judge_rest(builder.build(), {KEY: live}, [pod.build() for pod in pods], still, None, NOW)[0].at_zero


def _ready(name: str = "abcde") -> PodBuilder:
    return make_pod(SLEEPY.build(), name).ready()


def test_quiet_service_goes_to_zero_and_a_busy_one_stays() -> None:
    assert _judge(_live(), _ready())
    assert not _judge(_live(), _ready(), still=Stillness(quiet=299.9))
    assert not _judge(_live(), _ready(), still=Stillness())


@pytest.mark.parametrize(
    ("live", "pods"),
    [
        (_live(), [make_pod(SLEEPY.build()).scheduled().running()]),
        (_live(), []),
        (_live(replicas=2), [_ready()]),
        (_live(replicas=2), [_ready(), make_pod(SLEEPY.build(), "fresh").scheduled().running()]),
        (_live(), [_ready(), _ready("rolled")]),
        ({**_live(), "status": {**ONE, "updatedReplicas": 0, "observedGeneration": 1}}, [_ready()]),
        ({**_live(), "status": {**ONE, "observedGeneration": 0}}, [_ready()]),
    ],
    ids=["loading", "no pod", "one is missing", "one loads", "one too many", "rolling out", "not seen yet"],
)
def test_unsettled_service_stays_however_quiet(live: Body, pods: list[PodBuilder]) -> None:
    assert not _judge(live, *pods)


def test_pod_that_ends_does_not_count() -> None:
    assert _judge(_live(), _ready(), _ready("old").deleting())


def test_canary_is_waited_for() -> None:
    children = {KEY: _live(), ("Deployment", "chat-canary"): _live()}
    assert judge_rest(SLEEPY.build(), children, [_ready().build()], QUIET, None, NOW) == (AWAKE, None)


@pytest.mark.parametrize(
    "builder",
    [
        MOUNTED,
        MOUNTED.with_spec(autoscaling={"minReplicas": 1, "maxReplicas": 4}),
        SLEEPY.with_spec(suspend=True),
    ],
    ids=["fixed replicas", "without idle", "suspended"],
)
def test_only_services_that_say_so_go_to_zero(builder: Any) -> None:
    assert not _judge(_live(), _ready(), builder=builder)


def test_service_at_zero_stays_there_until_somebody_scales_it() -> None:
    at_zero = _live(Rest(at_zero=True), replicas=0)
    at_zero["ownsReplicas"] = True
    assert _judge(at_zero, still=Stillness())
    assert not _judge({**at_zero, "spec": {**at_zero["spec"], "replicas": 1}}, still=Stillness())
    assert _judge(_live(replicas=0), still=Stillness()), "somebody else scaled it to zero"


def test_resumed_service_starts_again() -> None:
    suspended = make_deployment(_render(builder=SLEEPY.with_spec(suspend=True)))
    assert not _judge({**suspended, "ownsReplicas": True}, still=Stillness())


def test_manifest_at_zero_owns_the_replicas_and_above_zero_leaves_them_to_the_autoscaler() -> None:
    asleep, awake = (_deployment(_render(rest)) for rest in (Rest(True), AWAKE))
    assert (asleep["spec"]["replicas"], asleep["metadata"]["annotations"][IDLE]) == (0, "true")
    assert "replicas" not in awake["spec"]
    assert IDLE not in awake["metadata"]["annotations"]
    assert asleep["spec"]["template"] == awake["spec"]["template"], "no pod is made anew for it"


def test_operator_starts_one_pod_when_idle_is_taken_out_of_the_spec() -> None:
    awake = _deployment(_render(builder=MOUNTED.with_spec(autoscaling={"maxReplicas": 4})))
    actions = plan([awake], Observed(OWNER_UID, {KEY: {**_live(Rest(True), replicas=0), "ownsReplicas": True}})).actions
    assert [action.manifest["spec"]["replicas"] for action in actions if isinstance(action, Apply)] == [1]


def test_autoscaler_never_gets_a_minimum_of_zero_which_it_may_not_have() -> None:
    (autoscaler,) = (m for m in _render() if m["kind"] == "HorizontalPodAutoscaler")
    assert autoscaler["spec"]["minReplicas"] == 1


def test_schedule_that_is_on_keeps_the_service_from_zero() -> None:
    schedule = {"start": "0 8 * * *", "end": "0 18 * * *", "replicas": 2}
    builder = MOUNTED.with_spec(autoscaling={**SCALING, "schedules": [schedule]})
    kept = {}
    for hour in (9, 20):
        service, _ = follow_schedules(builder.build(), datetime(2026, 1, 31, hour, tzinfo=UTC))
        kept[hour] = judge_rest(service, {KEY: _live()}, [_ready().build()], QUIET, None, NOW)[0].at_zero
    assert kept == {9: False, 20: True}


def test_status_says_idle_at_zero_and_nothing_of_it_above() -> None:
    def conditions(live: Body, *pods: PodBuilder) -> dict[str, Body]:
        state = ObservedState({KEY: live}, [pod.build() for pod in pods], facts=FACTS)
        status = compute_status(SLEEPY.build(), None, state, ApplyResults(), NOW)
        return {entry["type"]: entry for entry in status["conditions"]}

    asleep = conditions(_live(Rest(True), replicas=0))
    assert (asleep["Idle"]["status"], asleep["Idle"]["reason"]) == ("True", "NoActivator")
    assert (asleep["Ready"]["status"], asleep["Ready"]["reason"]) == ("False", "ScaledToZero")
    assert "300 s" in asleep["Idle"]["message"]
    assert "kubectl scale deployment/chat --replicas=1" in asleep["Idle"]["message"]
    assert "Idle" not in conditions(_live(), _ready())


@pytest.mark.parametrize(("activator", "warned"), [(None, True), ((), False), (("10.244.0.9",), False)])
def test_status_says_before_it_goes_to_zero_that_no_request_brings_it_back(
    activator: tuple[str, ...] | None, warned: bool
) -> None:
    works = {"conditions": [{"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}]}
    children = {KEY: _live(), ("HorizontalPodAutoscaler", "chat"): {"status": works}}
    state = ObservedState(children, [_ready().build()], facts=replace(FACTS, activator=activator))
    status = compute_status(SLEEPY.build(), None, state, ApplyResults(), NOW)
    told = next(entry for entry in status["conditions"] if entry["type"] == "AutoscalerReady")
    assert (told["status"], told["reason"]) == ("True", "ScalingActive")
    assert ("no activator is installed, so no request brings it back" in told["message"]) is warned


PODS = ("10.244.0.9", "10.244.1.9")
STILL = Stillness(quiet=300, port=20007)
JUST_READY = datetime(2026, 1, 31, 8, 1, 7, tzinfo=UTC)
"""Two seconds after the pods of the builder have become ready."""


def _rest(
    live: Body,
    *pods: PodBuilder,
    still: Stillness = STILL,
    slices: Any = (),
    now: datetime = NOW,
    activator: tuple[str, ...] | None = PODS,
) -> tuple[Rest, float | None]:
    children = {KEY: live, **{("EndpointSlice", each["metadata"]["name"]): each for each in slices}}
    return judge_rest(SLEEPY.build(), children, [pod.build() for pod in pods], still, activator, now)


def _slices(rest: Rest) -> list[Body]:
    return [manifest for manifest in _render(rest) if manifest["kind"] == "EndpointSlice"]


def test_door_opens_before_the_last_pod_goes_and_stays_open_at_zero() -> None:
    first, again = _rest(_live(), _ready())
    assert first == Rest(False, Door(20007, PODS))
    assert again == 1.0
    second, _ = _rest(_live(), _ready(), slices=_slices(first))
    assert second == Rest(True, Door(20007, PODS))
    at_zero = {**_live(second, replicas=0), "ownsReplicas": True}
    assert _rest(at_zero, still=Stillness(None, 20007))[0] == second


def test_door_shuts_when_a_request_comes_while_it_opens() -> None:
    opened = _slices(Rest(False, Door(20007, PODS)))
    assert _rest(_live(), _ready(), still=Stillness(0.0, 20007), slices=opened) == (Rest(False, Door(20007)), None)


def test_door_is_open_until_every_node_knows_of_a_ready_pod() -> None:
    busy = Stillness(0.0, 20007)
    loading = make_pod(SLEEPY.build()).scheduled().running()
    assert _rest(_live(), loading, still=busy)[0].door == Door(20007, PODS)
    assert _rest(_live(), still=busy)[0].door == Door(20007, PODS)
    assert _rest(_live(), _ready(), still=busy, now=JUST_READY) == (Rest(False, Door(20007, PODS)), 3.0)
    assert _rest(_live(), _ready(), loading, still=busy) == (Rest(False, Door(20007)), None)


@pytest.mark.parametrize(
    ("activator", "still"),
    [((), STILL), (PODS, Stillness(quiet=300, port=0))],
    ids=["no pod of the activator is ready", "no port is left"],
)
def test_last_pod_stays_while_nobody_would_hold_the_next_request(activator: Any, still: Stillness) -> None:
    assert not _rest(_live(), _ready(), activator=activator, still=still)[0].at_zero


def test_slices_lead_from_the_service_to_the_activator_by_the_name_of_its_port() -> None:
    (opened,), (shut,) = (_slices(Rest(False, Door(20007, addresses))) for addresses in (PODS, ()))
    assert opened["metadata"]["name"] == "chat-activator"
    labels = opened["metadata"]["labels"]
    assert labels["kubernetes.io/service-name"] == "chat"
    assert labels["endpointslice.kubernetes.io/managed-by"] == "modelservice-operator"
    assert [each["addresses"] for each in opened["endpoints"]] == [[PODS[0]], [PODS[1]]]
    assert opened["ports"] == [{"name": "http", "port": 20007, "protocol": "TCP"}]
    assert (shut["endpoints"], shut["ports"]) == ([], opened["ports"])


def test_addresses_of_two_families_have_a_slice_each() -> None:
    slices = _slices(Rest(True, Door(20007, ("fd00::1", PODS[0]))))
    families = {each["metadata"]["name"]: each["addressType"] for each in slices}
    assert families == {"chat-activator": "IPv4", "chat-activator-ipv6": "IPv6"}


def test_service_has_no_door_without_idle_or_without_an_activator() -> None:
    assert _slices(AWAKE) == []
    assert _rest(_live(), activator=None, still=Stillness())[0].door is None
