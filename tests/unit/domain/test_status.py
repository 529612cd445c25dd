"""The status: honest at every step, steady while nothing happens, and computed whatever the world looks like."""

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelservice_operator.api.kinds import CHILD_KINDS
from modelservice_operator.api.reasons import ConditionType, Reason
from modelservice_operator.api.v1alpha1 import ModelService, ModelServiceStatus, RuntimeProfile
from modelservice_operator.domain import (
    ApplyResults,
    Facts,
    Failure,
    Observed,
    ObservedState,
    SpecError,
    compute_status,
    is_urgent,
    patience,
    plan,
    rejected_status,
)
from tests.support.builders import (
    FACTS,
    IMAGE,
    OWNER_UID,
    ModelServiceBuilder,
    PodBuilder,
    make_children,
    make_deployment,
    make_gpu_profile,
    make_modelservice,
    make_pod,
    render_all,
)

NOW = datetime(2026, 1, 31, 9, 0, 0, tzinfo=UTC)
MOUNTED = make_modelservice("oci://localhost/models/demo-chat:dev")
COUNTS = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
REPORT = {
    "model": {
        "name": "chat",
        "task": "chat",
        "architecture": "LlamaForCausalLM",
        "parameters": 134515008,
        "dtype": "x",
    },
    "accelerator": {"device": "cpu", "simulated": False},
    "startup": {"importSeconds": 2.5, "loadSeconds": 3.25, "warmupSeconds": 0.5, "totalSeconds": 6.25},
}


def _status(
    builder: ModelServiceBuilder,
    *pods: PodBuilder,
    counts: dict[str, Any] | None = None,
    profile: RuntimeProfile | None = None,
    now: datetime = NOW,
    facts: Facts = FACTS,
    failures: tuple[Failure, ...] = (),
    runtime: dict[str, Any] | None = None,
    children: dict[tuple[str, str], Any] | None = None,
    scaling: dict[str, Any] | None = None,
) -> dict[str, Any]:
    service = builder.build()
    manifests = render_all(service, profile, facts)
    live = make_children(manifests)
    live[("Deployment", "chat")] = make_deployment(manifests, **(counts or {}))
    live |= children or {}
    if scaling:
        live[("HorizontalPodAutoscaler", "chat")]["status"] = {"conditions": [scaling]}
    state = ObservedState(
        live, [pod.build() for pod in pods], runtime, plan(manifests, Observed(OWNER_UID, live)), None, facts
    )
    return compute_status(service, profile, state, ApplyResults(failures), now)


def _ready_status(builder: ModelServiceBuilder = MOUNTED, **more: Any) -> dict[str, Any]:
    pod = make_pod(builder.build(), profile=more.get("profile"))
    return _status(builder, pod.ready(), counts=COUNTS, **more)


def _condition(status: dict[str, Any], type_: str = "Ready") -> dict[str, Any]:
    return next(entry for entry in status["conditions"] if entry["type"] == type_)


def _said(status: dict[str, Any], type_: str = "Ready") -> tuple[str, str]:
    return _condition(status, type_)["status"], _condition(status, type_)["reason"]


def test_service_is_ready_when_its_pod_is() -> None:
    status = _ready_status()
    assert _said(status) == ("True", "Ready")
    assert status["phase"] == "Ready"
    assert status["replicasSummary"] == "1/1"
    assert status["url"] == "http://chat.team.svc"
    assert status["selector"] == "modelservice.dev/name=chat"
    assert {entry["status"] for entry in status["conditions"]} == {"True"}


def test_status_fits_the_schema() -> None:
    for status in (_ready_status(), _status(MOUNTED), _status(MOUNTED, make_pod().scheduled().crashed("server", 65))):
        ModelServiceStatus.model_validate(status)
        assert set(status) <= {field.alias for field in ModelServiceStatus.model_fields.values()}


def test_url_has_the_port_when_it_is_not_80() -> None:
    assert _status(MOUNTED.with_spec(network={"service": {"port": 8000}}))["url"] == "http://chat.team.svc:8000"


def test_start_of_a_mounted_model_looks_the_same_until_it_is_ready() -> None:
    service = MOUNTED.build()
    counts = {"replicas": 1, "updatedReplicas": 1, "unavailableReplicas": 1}
    scheduled = _status(MOUNTED, make_pod(service).scheduled(), counts=counts)
    loading = _status(MOUNTED, make_pod(service).scheduled().running(), counts=counts)
    assert scheduled == loading
    assert _said(scheduled) == ("False", "Starting")
    assert scheduled["phase"] == "Loading"


def test_download_is_told_when_the_model_is_being_fetched() -> None:
    status = _status(make_modelservice(), make_pod().scheduled())
    assert _said(status) == ("False", "Downloading")
    assert status["phase"] == "Downloading"
    after = _status(make_modelservice(), make_pod().scheduled().fetched().running())
    assert _said(after, "ModelAvailable") == ("True", "Available")
    assert _said(after) == ("False", "Starting")


@pytest.mark.parametrize(
    "counts",
    [
        {**COUNTS, "observedGeneration": 0},
        {**COUNTS, "readyReplicas": 0, "availableReplicas": 0},
        {**COUNTS, "updatedReplicas": 0},
    ],
)
def test_service_is_not_ready_when_its_deployment_is_not_up_to_date(counts: dict[str, Any]) -> None:
    status = _status(MOUNTED, make_pod(MOUNTED.build()).ready(), counts=counts)
    assert _said(status)[0] == "False"


def test_service_is_not_ready_while_the_previous_revision_still_serves() -> None:
    old = make_pod(MOUNTED.build(), "old", "1111").ready()
    changed = make_modelservice("oci://localhost/models/other:dev").with_generation(2)
    new = make_pod(changed.build(), "new", "2222").created("2026-01-31T09:00:00Z").scheduled()
    status = _status(changed, old, new, counts={**COUNTS, "replicas": 2})
    assert _said(status) == ("False", "Starting")
    assert "previous revision serves" in _condition(status)["message"]
    assert _said(status, "Progressing") == ("True", "RollingOut")
    assert status["observedGeneration"] == 2
    both = _status(changed, old, new.ready(), counts={**COUNTS, "replicas": 2})
    assert _said(both) == ("False", "Starting")
    assert _said(_status(changed, old.deleting(), new.ready(), counts=COUNTS)) == ("True", "Ready")


def test_rollout_is_blocked_when_the_new_revision_finds_no_room() -> None:
    old = make_pod(MOUNTED.build(), "old", "1111").ready()
    changed = make_modelservice("oci://localhost/models/other:dev")
    new = make_pod(changed.build(), "new", "2222").unschedulable("0/1 nodes are available: 1 Insufficient cpu.")
    status = _status(changed, old, new, counts={**COUNTS, "replicas": 2})
    assert _said(status, "Progressing") == ("False", "RolloutBlocked")
    assert "Insufficient cpu" in _condition(status, "Progressing")["message"]
    assert status["phase"] == "Degraded"


def test_deadline_is_told_when_the_deployment_exceeded_it() -> None:
    conditions = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    status = _status(MOUNTED, counts={"conditions": conditions})
    assert _said(status, "Progressing") == ("False", "DeadlineExceeded")


FAILURES = {
    "SecretNotFound": ("SpecValid", lambda pod: pod.scheduled().waiting(
        "fetch", "CreateContainerConfigError", 'secret "hub-token" not found')),
    "ModelNotFound": ("ModelAvailable", lambda pod: pod.scheduled().crashed("fetch", 66)),
    "UnsupportedModel": ("ModelAvailable", lambda pod: pod.scheduled().fetched().crashed("server", 65)),
    "InsufficientResources": ("Scheduled", lambda pod: pod.unschedulable("0/1 nodes: 1 Insufficient cpu")),
    "ImagePullFailed": ("RuntimeReady", lambda pod: pod.scheduled().waiting("fetch", "ErrImagePull", "no such image")),
    "CrashLooping": ("RuntimeReady", lambda pod: pod.scheduled().fetched().crashed("server", 1, "boom")),
    "OOMKilled": ("RuntimeReady", lambda pod: pod.scheduled().fetched().crashed("server", 137, reason="OOMKilled")),
    "AcceleratorMissing": ("RuntimeReady", lambda pod: pod.scheduled().fetched().crashed("server", 67)),
}  # fmt: skip


@pytest.mark.parametrize("reason", FAILURES)
def test_failure_reaches_its_condition_ready_and_last_failure(reason: str) -> None:
    type_, breaking = FAILURES[reason]
    status = _status(make_modelservice(), breaking(make_pod()))
    assert _said(status, type_) == ("False", reason)
    assert _said(status) == ("False", reason)
    assert _condition(status)["message"] == _condition(status, type_)["message"]
    assert status["lastFailure"]["reason"] == reason
    assert status["lastFailure"]["hint"]
    assert status["lastFailure"]["pod"] == "chat-6d9f-abcde"
    assert status["phase"] in ("Failed", "Pending")


def test_first_failing_condition_wins_when_several_fail() -> None:
    pods = [
        make_pod(name="a").scheduled().fetched().crashed("server", 1),
        make_pod(name="b").unschedulable("0/1 nodes are available: 1 Insufficient cpu."),
    ]
    assert _said(_status(make_modelservice().with_spec(replicas=2), *pods)) == ("False", "InsufficientResources")


def test_service_is_degraded_when_one_of_two_pods_crashes() -> None:
    pods = [make_pod(name="a").ready(), make_pod(name="b").scheduled().fetched().crashed("server", 1)]
    counts = {**COUNTS, "replicas": 2, "updatedReplicas": 2}
    status = _status(make_modelservice().with_spec(replicas=2), *pods, counts=counts)
    assert _said(status) == ("False", "CrashLooping")
    assert status["phase"] == "Degraded"
    assert status["replicasSummary"] == "1/2"


def test_autoscaled_service_stays_ready_while_it_grows() -> None:
    scaled = {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}
    builder = MOUNTED.with_spec(autoscaling={"maxReplicas": 3})
    pods = [make_pod(builder.build(), "a").ready(), make_pod(builder.build(), "b").scheduled()]
    status = _status(builder, *pods, counts={**COUNTS, "replicas": 2, "updatedReplicas": 2}, scaling=scaled)
    assert _said(status) == ("True", "Ready")
    assert _said(status, "AutoscalerReady") == ("True", "ScalingActive")


def test_autoscaler_is_told_when_it_has_no_metrics() -> None:
    said = {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": "no metrics"}
    status = _ready_status(MOUNTED.with_spec(autoscaling={"maxReplicas": 3}), scaling=said)
    assert _said(status, "AutoscalerReady") == ("False", "MetricsUnavailable")
    assert _said(status) == ("True", "Ready")
    assert status["phase"] == "Degraded"
    assert "no metrics" in _condition(status)["message"]
    assert "AutoscalerReady" not in [entry["type"] for entry in _status(MOUNTED)["conditions"]]


def test_missing_crd_degrades_one_condition_and_not_the_service() -> None:
    builder = MOUNTED.with_spec(observability={"serviceMonitor": {}})
    status = _ready_status(builder, facts=Facts(IMAGE))
    assert _said(status, "NetworkReady") == ("False", "CRDMissing")
    assert _said(status) == ("True", "Ready")
    assert "ServiceMonitor" in _condition(status)["message"]
    assert status["phase"] == "Degraded"
    assert {"kind": "ServiceMonitor", "name": "chat", "state": "Unavailable"} in status["children"]


def test_service_tells_that_it_is_scaled_to_zero() -> None:
    status = _status(MOUNTED.with_spec(replicas=0))
    assert _said(status) == ("False", "ScaledToZero")
    assert status["phase"] == "Suspended"


def test_simulated_accelerator_is_told_everywhere() -> None:
    profile = make_gpu_profile(simulated=True)
    status = _ready_status(profile=profile, runtime=REPORT)
    assert status["accelerator"] == {"count": 1, "resource": "nvidia.com/gpu", "simulated": True, "device": "cpu"}
    assert "simulated" in _condition(status)["message"]
    assert status["profile"] == "nvidia"


def test_quota_is_told_when_it_refuses_the_pods() -> None:
    said = 'pods "chat-1" is forbidden: exceeded quota: team, requested: requests.cpu=2'
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": said}
    status = _status(MOUNTED, counts={"conditions": [refused]})
    assert _said(status) == ("False", "QuotaExceeded")
    assert _condition(status)["message"] == said


def test_conflict_is_told_when_a_name_is_taken() -> None:
    foreign = {("Service", "chat"): {"metadata": {"name": "chat", "namespace": "team"}, "spec": {}}}
    status = _status(MOUNTED, children=foreign)
    assert _said(status) == ("False", "NameConflict")
    assert {"kind": "Service", "name": "chat", "state": "Conflict"} in status["children"]


def test_refused_child_is_told_with_the_servers_words() -> None:
    failure = Failure("Deployment", "chat", "spec.template.spec.affinity: unknown field", 422)
    status = _ready_status(failures=(failure,))
    assert _said(status) == ("False", "ApplyFailed")
    assert "unknown field" in _condition(status)["message"]
    assert {"kind": "Deployment", "name": "chat", "state": "Failed"} in status["children"]


def test_reason_is_apply_failed_when_the_deployment_was_refused_and_there_is_none() -> None:
    manifests = render_all(MOUNTED.build())
    live = {key: body for key, body in make_children(manifests).items() if key[0] != "Deployment"}
    state = ObservedState(live, [], plan=plan(manifests, Observed(OWNER_UID, live)), facts=FACTS)
    refused = Failure("Deployment", "chat", 'spec.template.spec.dnsPolicy: Unsupported value: "Nonsense"', 422)
    status = compute_status(MOUNTED.build(), None, state, ApplyResults((refused,)), NOW)
    assert _said(status) == ("False", "ApplyFailed")
    assert "Unsupported value" in _condition(status)["message"]


def test_children_are_listed_in_the_order_in_which_they_are_applied() -> None:
    listed = [child["kind"] for child in _ready_status()["children"]]
    assert listed == [kind.kind for kind in CHILD_KINDS if kind.kind in listed]


def _error_status(service: ModelService) -> dict[str, Any]:
    error = SpecError(Reason.PROFILE_NOT_FOUND, "spec.runtime.profileRef.name", "RuntimeProfile 'x' does not exist")
    return compute_status(service, None, ObservedState({}, [], error=error), ApplyResults(), NOW)


def test_spec_error_is_told_with_its_field() -> None:
    status = _error_status(MOUNTED.build())
    assert _said(status) == ("False", "ProfileNotFound")
    assert _condition(status)["message"].startswith("spec.runtime.profileRef.name: ")
    assert status["phase"] == "Failed"


def test_unreadable_object_keeps_what_was_known() -> None:
    body = {"metadata": {"name": "chat", "generation": 3}, "status": _ready_status()}
    status = rejected_status(body, SpecError(Reason.INVALID_SPEC, "spec.model.uri", "is wrong"), NOW)
    assert _said(status) == ("False", "InvalidSpec")
    assert _said(status, "RuntimeReady") == ("True", "Serving")
    assert status["observedGeneration"] == 3
    assert status["url"] == "http://chat.team.svc"
    assert rejected_status({}, SpecError(Reason.INVALID_SPEC, "", "x"), NOW)["phase"] == "Failed"


def test_transition_time_changes_only_when_a_status_flips() -> None:
    starting = _status(MOUNTED, make_pod(MOUNTED.build()).scheduled())
    later = NOW + timedelta(minutes=5)
    known = MOUNTED.with_status(starting)
    failing = _status(known, make_pod(MOUNTED.build()).scheduled().crashed("server", 1), now=later)
    assert _condition(failing)["lastTransitionTime"] == "2026-01-31T09:00:00Z"
    ready = _ready_status(known, now=later)
    assert _condition(ready)["lastTransitionTime"] == "2026-01-31T09:05:00Z"
    assert _condition(ready, "SpecValid")["lastTransitionTime"] == "2026-01-31T09:00:00Z"


def test_status_does_not_change_when_nothing_happens() -> None:
    status = _ready_status(runtime=REPORT)
    again = _ready_status(MOUNTED.with_status(status), runtime=REPORT, now=NOW + timedelta(hours=1))
    forgotten = _ready_status(MOUNTED.with_status(status), runtime=None, now=NOW + timedelta(hours=1))
    assert status == again == forgotten


def test_crash_loop_is_told_once() -> None:
    pod = make_pod().scheduled().fetched().crashed("server", 1, "boom")
    first = _status(make_modelservice(), pod)
    again = copy.deepcopy(pod)
    again.body["status"]["containerStatuses"][0]["lastState"]["terminated"]["finishedAt"] = "2026-01-31T08:07:00Z"
    assert _status(make_modelservice().with_status(first), again, now=NOW + timedelta(minutes=5)) == first


def test_last_failure_stays_when_its_cause_is_gone() -> None:
    first = _status(make_modelservice(), make_pod().scheduled().crashed("fetch", 66))
    healed = _status(make_modelservice().with_status(first), make_pod(name="other").ready(), counts=COUNTS)
    assert healed["lastFailure"] == first["lastFailure"]
    assert _said(healed) == ("True", "Ready")


def test_start_is_split_into_its_steps() -> None:
    result = {"sizeBytes": 5, "format": "safetensors", "resolvedRevision": "abc", "downloadSeconds": 39.5}
    word = json.dumps({"component": "fetch", "reason": "Completed", "message": "", "exitCode": 0, "result": result})
    pod = make_pod().ready().fetched(word)
    status = _status(make_modelservice(), pod, counts=COUNTS, runtime=REPORT)
    assert status["startup"] == {
        "scheduledSeconds": 2.0,
        "imagePullSeconds": 11.0,
        "downloadSeconds": 39.5,
        "importSeconds": 2.5,
        "loadSeconds": 3.25,
        "warmupSeconds": 0.5,
        "totalSeconds": 65.0,
    }
    assert status["model"] == {
        "uri": "hf://Qwen/Qwen2.5-0.5B-Instruct",
        "servedName": "chat",
        "resolvedRevision": "abc",
        "sizeBytes": 5,
        "format": "safetensors",
        "architecture": "LlamaForCausalLM",
        "parameters": 134515008,
        "task": "chat",
        "dtype": "x",
    }


def test_last_five_starts_are_kept_newest_first_and_each_once() -> None:
    status: dict[str, Any] = {}
    for minute in range(7):
        pod = make_pod(name=f"p{minute}").ready().created(f"2026-01-31T07:{minute:02}:00Z")
        for _ in range(2):
            status = _status(make_modelservice().with_status(status), pod, counts=COUNTS, runtime=REPORT)
    assert [start["pod"][-2:] for start in status["startups"]] == ["p6", "p5", "p4", "p3", "p2"]
    assert status["startups"][0]["loadSeconds"] == 3.25
    assert status["startups"][0]["revision"] == status["revision"]["current"]
    ModelServiceStatus.model_validate(status)


def test_nothing_is_told_about_the_model_when_nobody_reported() -> None:
    assert _status(MOUNTED)["model"] == {"uri": "oci://localhost/models/demo-chat:dev", "servedName": "chat"}


def test_report_of_the_previous_revision_is_not_told_of_the_new_one() -> None:
    changed = make_modelservice("oci://localhost/models/other:dev")
    old = make_pod(MOUNTED.build(), "old", "1111").ready()
    status = _status(changed.with_status(_ready_status(runtime=REPORT)), old, counts=COUNTS, runtime=REPORT)
    assert status["model"] == {"uri": "oci://localhost/models/other:dev", "servedName": "chat"}


def test_creation_costs_two_writes_when_all_goes_well() -> None:
    first = _status(MOUNTED, make_pod(MOUNTED.build()).scheduled())
    assert 0 < patience({}, first) <= 1
    ready = _ready_status(MOUNTED.with_status(first))
    assert is_urgent(first, ready)
    progress = {**first, "updatedReplicas": 1}
    assert patience(first, progress) >= 10


def test_failure_is_urgent_when_it_appears_or_changes_and_not_when_it_repeats() -> None:
    starting = _status(make_modelservice(), make_pod().scheduled())
    missing = _status(make_modelservice(), make_pod().scheduled().crashed("fetch", 66))
    denied = _status(make_modelservice(), make_pod().scheduled().crashed("fetch", 77))
    assert is_urgent({}, missing)
    assert is_urgent(starting, missing)
    assert is_urgent(missing, denied)
    assert not is_urgent(missing, {**missing, "replicas": 2})
    assert not is_urgent(missing, starting)
    assert is_urgent({}, _error_status(MOUNTED.build()))


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["status", "spec", "metadata", "conditions", "template", "name", "type"]), inner
        )
    ),
    max_leaves=12,
)
_JUNK_OBJECTS = st.dictionaries(st.sampled_from(["status", "spec", "metadata"]), _JUNK, max_size=3)


@given(_JUNK_OBJECTS, _JUNK_OBJECTS, st.lists(_JUNK_OBJECTS, max_size=3), _JUNK)
def test_status_is_computed_whatever_the_world_looks_like(
    deployment: dict[str, Any], autoscaler: dict[str, Any], pods: list[dict[str, Any]], runtime: Any
) -> None:
    service = MOUNTED.with_spec(autoscaling={"maxReplicas": 3}).build()
    children = {("Deployment", "chat"): deployment, ("HorizontalPodAutoscaler", "chat"): autoscaler}
    state = ObservedState(children, pods, runtime if isinstance(runtime, dict) else None)
    status = compute_status(service, None, state, ApplyResults(), NOW)
    assert _said(status)[0] == "False"
    assert status["conditions"][0]["type"] == ConditionType.READY


ROUTED = MOUNTED.with_spec(network={"httpRoute": {"parentRefs": [{"name": "public"}]}})


def _route_status(*conditions: dict[str, str]) -> dict[str, Any]:
    parents = [{"parentRef": {"name": "public"}, "conditions": list(conditions)}] if conditions else []
    live = make_children(render_all(ROUTED.build()))["HTTPRoute", "chat"]
    return _ready_status(ROUTED, children={("HTTPRoute", "chat"): {**live, "status": {"parents": parents}}})


def test_service_waits_until_a_gateway_has_answered_for_its_route() -> None:
    status = _route_status()
    assert _said(status) == _said(status, "NetworkReady") == ("False", "RouteNotAccepted")
    assert "Gateway public" in _condition(status)["message"]


def test_gateways_words_are_told_when_it_refuses_the_route() -> None:
    refused = {"type": "Accepted", "status": "False", "reason": "NotAllowedByListeners", "message": "not from here"}
    status = _route_status(refused)
    assert _said(status) == ("False", "RouteNotAccepted")
    assert _condition(status)["message"] == "Gateway public: not from here"


def test_service_is_ready_when_the_gateway_has_accepted_its_route() -> None:
    good = [{"type": type_, "status": "True", "reason": type_, "message": ""} for type_ in ("Accepted", "ResolvedRefs")]
    assert _said(_route_status(*good)) == ("True", "Ready")


GOLDEN = MOUNTED.with_spec(rollout={"verification": {"path": "/v1/completions", "body": "{}", "expect": "Paris"}})


def test_revision_is_verified_when_its_pods_have_answered_the_golden_request() -> None:
    pod = make_pod(GOLDEN.build())
    waiting = _status(GOLDEN, pod.scheduled().running())
    assert _condition(waiting, "Verified")["status"] == "Unknown"
    assert _said(waiting) == ("False", "Starting")
    status = _status(GOLDEN, pod.ready(), counts=COUNTS)
    assert _said(status, "Verified") == ("True", "Verified")
    assert _said(status) == ("True", "Ready")


def test_wrong_answer_is_told_first_and_the_earlier_revision_serves_on() -> None:
    word = {"reason": "GoldenRequestFailed", "message": "should have answered 'Paris'", "hint": "compare"}
    earlier = make_pod(MOUNTED.build(), name="a", template_hash="5c1a").ready()
    failing = make_pod(GOLDEN.build(), name="b").scheduled().crashed("server", 76, json.dumps(word))
    status = _status(GOLDEN, earlier, failing, counts={**COUNTS, "replicas": 2})
    assert _said(status) == _said(status, "Verified") == ("False", "GoldenRequestFailed")
    assert _condition(status)["message"] == "should have answered 'Paris'"
    assert status["lastFailure"]["hint"] == "compare"
    assert status["phase"] == "Degraded"


def test_suspended_service_says_so() -> None:
    status = _status(MOUNTED.with_spec(suspend=True, autoscaling={"maxReplicas": 3}))
    assert _said(status) == ("False", "Suspended")
    assert _said(status, "Suspended") == ("True", "Suspended")
    assert status["phase"] == "Suspended"
    assert "Suspended" not in [entry["type"] for entry in _ready_status()["conditions"]]
    ModelServiceStatus.model_validate(status)


def test_claims_that_the_scheduler_waits_for_are_told_when_it_has_not_looked_at_the_pod() -> None:
    claims = [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}, {"name": "nic", "resourceClaimName": "shared"}]
    builder = MOUNTED.with_spec(scheduling={"resourceClaims": claims})
    pod = make_pod(builder.build())
    pod.body["spec"]["resourceClaims"] = claims
    assert _said(_status(builder, pod), "Scheduled") == ("False", "ClaimPending")
    assert "ResourceClaimTemplate one-gpu" in _condition(_status(builder, pod), "Scheduled")["message"]
    pod.body["status"]["resourceClaimStatuses"] = [{"name": "gpu", "resourceClaimName": "chat-gpu-1"}]
    assert _condition(_status(builder, pod), "Scheduled")["message"].endswith(": shared")
    assert _said(_status(builder, pod.scheduled()), "Scheduled") == ("True", "Assigned")
