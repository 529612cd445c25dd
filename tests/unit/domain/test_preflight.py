"""No pod of a model is made before its preflight has passed, and nothing that serves is touched by one."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from modelservice_operator.api.names import PREFLIGHT, preflight_labels, selector_labels
from modelservice_operator.api.v1alpha1 import ModelServiceStatus, RuntimeProfile
from modelservice_operator.domain import (
    ApplyResults,
    Delete,
    Gate,
    Observed,
    ObservedState,
    compute_status,
    judge_source,
    kept_children,
    plan,
)
from modelservice_operator.domain.fit import accelerator_memory, fit_message
from modelservice_operator.domain.inspection import Inspection
from modelservice_operator.domain.preflight_job import preflight_job
from tests.support.builders import (
    FACTS,
    OWNER_UID,
    ModelServiceBuilder,
    make_children,
    make_gpu_profile,
    make_live,
    make_modelservice,
    make_profile,
    render_all,
)
from tests.support.preflights import COMMIT, INSPECTED, make_preflight_pod

Body = dict[str, Any]
Live = dict[tuple[str, str], Body]

NOW = datetime(2026, 1, 31, 9, 0, 0, tzinfo=UTC)
SERVICE = make_modelservice("hf://Qwen/Qwen2.5-0.5B-Instruct")
TRUSTED = SERVICE.with_model(task="chat", trustRemoteCode=True, revision=COMMIT)
TRUSTING = make_profile("trusting", allowRemoteCode=True)
KINDS_BEFORE = {"ServiceAccount", "Service", "Job"}


def judge(
    builder: ModelServiceBuilder, *pods: Body, live: Live | None = None, profile: RuntimeProfile | None = None
) -> Gate:
    return judge_source(builder.build(), profile, FACTS, live or {}, pods)


def status_of(builder: ModelServiceBuilder, gate: Gate, live: Live | None = None) -> Body:
    service, live = builder.build(), live or {}
    manifests = render_all(service, gate=gate)
    wanted = plan(manifests, Observed(OWNER_UID, live, kept=kept_children(service, gate, live)))
    state = ObservedState(live, (), None, wanted, None, FACTS, gate)
    status = compute_status(service, None, state, ApplyResults(), NOW)
    ModelServiceStatus.model_validate(status)
    return status


def condition(status: Body, type_: str) -> Body:
    found: Body = next(entry for entry in status["conditions"] if entry["type"] == type_)
    return found


def serving(builder: ModelServiceBuilder, gate: Gate | None = None) -> Live:
    """The live children of a service that was let through, or of one that never had a preflight."""
    return make_children(render_all(builder.build(), gate=gate or Gate()))


def fetch_args(manifests: list[Body]) -> list[str]:
    deployment = next(manifest for manifest in manifests if manifest["kind"] == "Deployment")
    args: list[str] = deployment["spec"]["template"]["spec"]["initContainers"][0]["args"]
    return args


def annotated(builder: ModelServiceBuilder, value: str) -> ModelServiceBuilder:
    metadata = {**builder.body["metadata"], "annotations": {PREFLIGHT: value}}
    return ModelServiceBuilder({**builder.body, "metadata": metadata})


def with_status(builder: ModelServiceBuilder, status: Body) -> ModelServiceBuilder:
    return ModelServiceBuilder({**builder.body, "status": status})


def test_job_and_no_deployment_exist_while_the_model_is_looked_up() -> None:
    gate = judge(SERVICE)
    manifests = render_all(SERVICE.with_spec(autoscaling={"maxReplicas": 2}).build(), gate=gate)
    assert {manifest["kind"] for manifest in manifests} == KINDS_BEFORE
    status = status_of(SERVICE, gate)
    assert status["phase"] == "Resolving"
    assert condition(status, "Ready")["reason"] == "Resolving"
    assert condition(status, "ModelAvailable")["message"].endswith("hf://Qwen/Qwen2.5-0.5B-Instruct")


def test_pods_of_a_preflight_are_selected_by_nothing_and_ask_for_no_accelerator() -> None:
    service = SERVICE.with_gpu(2).build()
    job = next(m for m in render_all(service, gate=judge(SERVICE.with_gpu(2))) if m["kind"] == "Job")
    template = job["spec"]["template"]
    assert not selector_labels("chat").items() <= template["metadata"]["labels"].items()
    assert template["metadata"]["labels"] == preflight_labels("chat")
    assert "nvidia.com/gpu" not in json.dumps(template["spec"]["containers"][0]["resources"])
    assert len(job["metadata"]["name"]) <= 63


def test_every_replica_serves_the_commit_that_was_found() -> None:
    gate = judge(SERVICE, make_preflight_pod(SERVICE.build()).finished(INSPECTED))
    assert gate.is_open
    assert f"--revision={COMMIT}" in fetch_args(render_all(SERVICE.build(), gate=gate))
    status = status_of(SERVICE, gate)
    model = {key: status["model"][key] for key in ("resolvedRevision", "sizeBytes", "format", "parameters", "task")}
    assert model == {key: INSPECTED[key] for key in model}
    assert status["preflight"]["source"]


def test_no_second_job_runs_when_the_status_knows_the_source() -> None:
    status = status_of(SERVICE, judge(SERVICE, make_preflight_pod(SERVICE.build()).finished(INSPECTED)))
    later = with_status(SERVICE.with_generation(9).with_spec(replicas=3), status)
    gate = judge(later)
    assert (gate.is_open, gate.job) == (True, None)
    assert f"--revision={COMMIT}" in fetch_args(render_all(later.build(), gate=gate))


def test_nothing_changes_when_the_status_is_lost() -> None:
    gate = judge(SERVICE, make_preflight_pod(SERVICE.build()).finished(INSPECTED))
    live = serving(SERVICE, gate)
    again = judge(SERVICE, live=live)
    assert again.found == gate.found
    assert plan(render_all(SERVICE.build(), gate=again), Observed(OWNER_UID, live)).in_sync


def test_service_without_a_preflight_is_left_alone_when_the_operator_is_upgraded() -> None:
    live = serving(SERVICE)
    gate = judge(SERVICE, live=live)
    assert gate == Gate()
    assert plan(render_all(SERVICE.build(), gate=gate), Observed(OWNER_UID, live)).in_sync


def test_number_of_transfers_is_no_part_of_the_source() -> None:
    faster = SERVICE.with_spec(loader={"parallelism": 8})
    assert judge(faster, live=serving(SERVICE)).is_open
    assert judge(SERVICE, live=serving(faster)).is_open
    assert fetch_args(render_all(faster.build()))[-1] == "--parallel=8"


@pytest.mark.parametrize("change", [{"uri": "hf://Qwen/Other"}, {"revision": "v2"}, {"files": {"exclude": ["*.gguf"]}}])
def test_service_without_a_preflight_gets_one_when_its_source_changes(change: Body) -> None:
    gate = judge(SERVICE.with_model(**change), live=serving(SERVICE))
    assert (gate.is_open, gate.is_job_wanted) == (False, True)


@pytest.mark.parametrize("change", [{"uri": "hf://a/b"}, {"secretRef": {"name": "x"}}, {"revision": "v2"}])
def test_source_is_looked_up_again_when_it_changes(change: Body) -> None:
    status = status_of(SERVICE, judge(SERVICE, make_preflight_pod(SERVICE.build()).finished(INSPECTED)))
    assert judge(with_status(SERVICE.with_model(**change), status)).is_job_wanted


def test_what_serves_stays_as_it_is_while_another_model_is_looked_up() -> None:
    gate = judge(SERVICE, make_preflight_pod(SERVICE.build()).finished(INSPECTED))
    live = serving(SERVICE, gate)
    other = SERVICE.with_model(uri="hf://org/other")
    closed = judge(other, live=live)
    kept = kept_children(other.build(), closed, live)
    steps = plan(render_all(other.build(), gate=closed), Observed(OWNER_UID, live, kept=kept))
    assert [(action.kind, isinstance(action, Delete)) for action in steps.actions] == [("Job", False)]
    states = {(child["kind"], child["state"]) for child in status_of(other, closed, live)["children"]}
    assert ("Deployment", "Held") in states
    assert judge(SERVICE, live=live).is_open


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("ModelNotFound", 66),
        ("ModelGated", 77),
        ("ModelAuthFailed", 77),
        ("UnsupportedModel", 65),
        ("SourceUnavailable", 69),
        ("BadSettings", 64),
    ],
)
def test_reason_is_that_of_the_preflight_when_it_fails(reason: str, code: int) -> None:
    pod = make_preflight_pod(SERVICE.build())
    gate = judge(SERVICE, pod.failed(reason, code, "org/name: no"))
    status = status_of(SERVICE, gate)
    assert (gate.is_open, gate.is_job_wanted) == (False, True)
    assert condition(status, "ModelAvailable")["reason"] == reason
    assert condition(status, "Ready")["reason"] == reason
    failure = status["lastFailure"]
    assert (failure["component"], failure["exitCode"], failure["message"]) == ("preflight", code, "org/name: no")
    assert status_of(SERVICE, judge(SERVICE, pod.retrying(reason, code, "org/name: no"))) == status


def test_reason_is_secret_not_found_when_the_preflight_lacks_its_token() -> None:
    said = 'secret "hub-token" not found'
    gate = judge(SERVICE, make_preflight_pod(SERVICE.build()).waiting("CreateContainerConfigError", said))
    assert condition(status_of(SERVICE, gate), "SpecValid")["reason"] == "SecretNotFound"


def test_reason_is_the_image_when_the_preflight_cannot_start_for_want_of_it() -> None:
    pod = make_preflight_pod(SERVICE.build()).waiting("ImagePullBackOff", "not found")
    status = status_of(SERVICE, judge(SERVICE, pod))
    assert condition(status, "Ready")["reason"] == "ImagePullFailed"
    assert condition(status, "ModelAvailable")["status"] == "Unknown"


def test_preflight_is_under_way_while_its_pod_runs() -> None:
    gate = judge(SERVICE, make_preflight_pod(SERVICE.build()).running())
    assert (gate.is_open, gate.failure) == (False, None)


def test_new_job_is_made_at_once_when_the_spec_or_the_annotation_changes() -> None:
    first, changed = preflight_job(SERVICE.build(), None, FACTS), SERVICE.with_generation(2)
    asked = annotated(SERVICE, "again")
    assert len({first.name, *(preflight_job(b.build(), None, FACTS).name for b in (changed, asked))}) == 3
    stale = make_preflight_pod(SERVICE.build()).failed("ModelGated", 77)
    assert judge(changed, stale).failure is None
    live = {("Job", first.name): make_live(render_all(SERVICE.build(), gate=judge(SERVICE))[-1])}
    steps = plan(render_all(changed.build(), gate=judge(changed, live=live)), Observed(OWNER_UID, live))
    assert [action.name for action in steps.actions if isinstance(action, Delete)] == [first.name]


def test_finished_job_is_left_to_end_by_itself() -> None:
    pod = make_preflight_pod(SERVICE.build()).finished(INSPECTED)
    name = preflight_job(SERVICE.build(), None, FACTS).name
    live = {("Job", name): make_live(render_all(SERVICE.build(), gate=judge(SERVICE))[-1])}
    gate = judge(SERVICE, pod, live=live)
    assert kept_children(SERVICE.build(), gate, live) == {("Job", name)}


@pytest.mark.parametrize(
    "builder",
    [
        make_modelservice("pvc://weights/llama"),
        make_modelservice("oci://registry.example.com/models/chat:1"),
        annotated(SERVICE, "skip"),
    ],
)
def test_gate_is_open_when_there_is_nothing_to_look_at_from_afar(builder: ModelServiceBuilder) -> None:
    assert judge(builder) == Gate()


def test_file_on_a_web_server_passes_when_it_can_be_had_although_nothing_else_is_known_of_it() -> None:
    builder = make_modelservice("https://models.example.com/chat.tar")
    assert judge(builder).is_job_wanted
    gate = judge(builder, make_preflight_pod(builder.build()).finished({"sizeBytes": 7, "format": ""}))
    assert gate.is_open
    args = ["fetch", "https://models.example.com/chat.tar", "/models/chat"]
    assert fetch_args(render_all(builder.build(), gate=gate)) == args


def test_suspended_service_loses_its_pods_whatever_its_source_and_is_looked_up_when_it_resumes() -> None:
    other = SERVICE.with_model(uri="hf://org/other")
    asleep = judge(other.with_spec(suspend=True), live=serving(SERVICE))
    assert (asleep.is_open, asleep.job) == (True, None)
    live = serving(other.with_spec(suspend=True), asleep)
    assert judge(other, live=live).is_job_wanted


def found(builder: ModelServiceBuilder, profile: RuntimeProfile | None = None, **changes: Any) -> Gate:
    pod = make_preflight_pod(builder.build(), profile).finished({**INSPECTED, **changes})
    return judge(builder, pod, profile=profile)


BIG: Body = {"sizeBytes": 140_000_000_000, "parameters": 70_000_000_000}
SMALL_CARD = make_profile(accelerator={"resource": "nvidia.com/gpu", "count": 1, "memory": "24Gi"})


@pytest.mark.parametrize(
    ("builder", "profile", "result", "reason"),
    [
        (SERVICE, SMALL_CARD, BIG, "ModelTooLarge"),
        (SERVICE.with_gpu(1, product="NVIDIA-A100-SXM4-80GB"), None, BIG, "ModelTooLarge"),
        (SERVICE.with_gpu(1, resource="nvidia.com/mig-1g.5gb"), None, BIG, "ModelTooLarge"),
        (SERVICE.with_gpu(2, product="NVIDIA-A100-SXM4-80GB"), None, BIG, ""),
        (SERVICE.with_gpu(1), None, BIG, ""),
        (
            SERVICE.with_spec(runtime={"engine": {"quantization": "int8"}}),
            SMALL_CARD,
            {**BIG, "parameters": 48 << 30},
            "",
        ),
        (SERVICE, make_gpu_profile(simulated=True), BIG, ""),
        (SERVICE, None, BIG, ""),
        (SERVICE, None, {"task": None}, "UnsupportedModel"),
        (SERVICE.with_model(task="chat"), None, {"task": None}, ""),
        (SERVICE.with_model(task="chat"), None, {"architectureKnown": False}, "UnsupportedModel"),
        (SERVICE, None, {"architectureKnown": False, "needsRemoteCode": True}, "UnsupportedModel"),
        (TRUSTED, TRUSTING, {"architectureKnown": False, "needsRemoteCode": True}, ""),
        (SERVICE.with_model(task="chat"), TRUSTING, {"architectureKnown": False}, "UnsupportedModel"),
        (SERVICE.with_spec(resources={"limits": {"ephemeral-storage": "100Mi"}}), None, {}, "DiskFull"),
        (SERVICE.with_spec(loader={"resources": {"limits": {"ephemeral-storage": "2Gi"}}}), None, {}, ""),
    ],
)
def test_pods_are_made_only_where_the_model_fits(
    builder: ModelServiceBuilder, profile: RuntimeProfile | None, result: Body, reason: str
) -> None:
    gate = found(builder, profile, **result)
    assert gate.is_open is not bool(reason)
    assert str(gate.failure[1].reason if gate.failure else "") == reason
    if gate.failure:
        assert gate.failure[1].hint
        assert condition(status_of(builder, gate), "ModelAvailable")["reason"] == reason


def test_model_that_was_too_large_starts_without_another_job_when_the_spec_makes_room() -> None:
    gate = found(SERVICE, SMALL_CARD, **BIG)
    later = with_status(SERVICE, status_of(SERVICE, gate))
    assert judge(later, profile=SMALL_CARD).job is None
    more = make_profile(accelerator={"resource": "nvidia.com/gpu", "count": 8, "memory": "24Gi"})
    assert judge(later, profile=more).is_open


def test_model_is_looked_up_again_when_the_spec_changes_and_the_image_did_not_know_its_architecture() -> None:
    status = status_of(SERVICE, found(SERVICE, architectureKnown=False))
    assert judge(with_status(SERVICE, status)).job is None
    later = with_status(SERVICE.with_generation(2).with_spec(runtime={"image": "newer:1"}), status)
    assert judge(later).is_job_wanted


def test_longest_context_that_fits_is_told_when_the_memory_is_known() -> None:
    card = Inspection.read("s", {**INSPECTED, "maxContext": 1_000_000})
    service = SERVICE.build()
    assert accelerator_memory(service, SMALL_CARD) == 24 * 2**30
    assert fit_message(service, SMALL_CARD, card) == "1.0 GB of weights; fits with maxContext <= 1,000,000"
    tight = replace(card, size_bytes=20_000_000_000, parameters=10_000_000_000, cache_values_per_token=131_072)
    assert fit_message(service, SMALL_CARD, tight) == "20.0 GB of weights; fits with maxContext <= 12,179"
    assert fit_message(service, None, tight) == "20.0 GB of weights"


def test_startup_budget_grows_with_the_weights() -> None:
    def probes(gate: Gate) -> int:
        manifests = render_all(SERVICE.build(), gate=gate)
        deployment = next(manifest for manifest in manifests if manifest["kind"] == "Deployment")
        server = deployment["spec"]["template"]["spec"]["containers"][0]
        threshold: int = server["startupProbe"]["failureThreshold"]
        return threshold

    assert probes(found(SERVICE)) == 1800
    assert probes(found(SERVICE, **BIG)) == 1800
    assert probes(found(SERVICE, sizeBytes=810_000_000_000)) == 8500
