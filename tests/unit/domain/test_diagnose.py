"""Diagnosis of pods in the states in which real kubelets and schedulers report them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelservice_operator.api.contract import ExitCode
from modelservice_operator.api.reasons import Reason
from modelservice_operator.domain import Diagnosis, diagnose
from modelservice_operator.domain.diagnose import past_failure
from tests.support.builders import CREATED, IMAGE, PodBuilder, make_gpu_profile, make_modelservice, make_pod

NO_GPU = (
    "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient nvidia.com/gpu. no new claims to "
    "deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
)
PULL = (
    'failed to pull and unpack image "registry.example.com/x:1": failed to resolve reference '
    '"registry.example.com/x:1": registry.example.com/x:1: not found'
)


def _gpu_pod() -> PodBuilder:
    return make_pod(profile=make_gpu_profile())


def _found(pod: PodBuilder) -> Diagnosis:
    found = diagnose(pod.build())
    assert found is not None
    return found


def _word(reason: str, code: int, message: str = "what happened", hint: str = "what to do") -> str:
    document = {"component": "serve", "reason": reason, "message": message, "hint": hint, "exitCode": code}
    return json.dumps({**document, "result": None})


HEALTHY: dict[str, Callable[[], PodBuilder]] = {
    "new": make_pod,
    "scheduled": lambda: make_pod().scheduled(),
    "fetching": lambda: make_pod().scheduled(),
    "loading": lambda: make_pod().scheduled().fetched().running(),
    "ready": lambda: make_pod().ready(),
    "recovered": lambda: make_pod().ready().crashed("server", 1).ready(),
    "told late that there was no node": lambda: make_pod().scheduled().unschedulable("no nodes available"),
    "deleted while crashing": lambda: make_pod().scheduled().crashed("server", 1).deleting(),
}


@pytest.mark.parametrize("case", HEALTHY)
def test_nothing_is_found_when_the_pod_is_well_or_on_its_way(case: str) -> None:
    assert diagnose(HEALTHY[case]().build()) is None


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (NO_GPU, Reason.INSUFFICIENT_GPU),
        ("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.", Reason.INSUFFICIENT_GPU),
        ("0/2 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.", Reason.INSUFFICIENT_RESOURCES),
        ("0/1 nodes are available: 1 Too many pods.", Reason.INSUFFICIENT_RESOURCES),
        ("0/1 nodes are available: 1 node(s) had untolerated taint {dedicated: x}.", Reason.UNTOLERATED_TAINT),
        (
            "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) had untolerated taint "
            "{nvidia.com/gpu: }.",
            Reason.UNTOLERATED_TAINT,
        ),
        (
            "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) didn't match Pod's node "
            "affinity/selector. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
            Reason.NO_MATCHING_NODE,
        ),
        ("no nodes available to schedule pods", Reason.NO_MATCHING_NODE),
        (
            '0/1 nodes are available: persistentvolumeclaim "weights" not found. not found',
            Reason.CLAIM_PENDING,
        ),
        ("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.", Reason.CLAIM_PENDING),
    ],
)
def test_scheduler_is_understood_when_it_finds_no_node(message: str, reason: Reason) -> None:
    found = _found(_gpu_pod().unschedulable(message))
    assert found.reason is reason
    assert found.component == "scheduler"
    assert found.hint
    assert message.startswith(found.message)
    assert "preemption" not in found.message


def test_gpu_is_not_blamed_when_the_pod_asks_for_none() -> None:
    found = _found(make_pod().unschedulable("0/1 nodes are available: 1 Insufficient memory."))
    assert found.reason is Reason.INSUFFICIENT_RESOURCES


@pytest.mark.parametrize("word", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"])
def test_registrys_answer_is_kept_when_an_image_cannot_be_pulled(word: str) -> None:
    found = _found(make_pod().scheduled().waiting("server", word, PULL))
    assert found.reason is Reason.IMAGE_PULL_FAILED
    assert found.component == "kubelet"
    assert "not found" in found.message


def test_message_stays_the_same_when_the_kubelet_backs_off() -> None:
    first = _found(make_pod().scheduled().waiting("server", "ErrImagePull", PULL))
    wrapped = f'Back-off pulling image "registry.example.com/x:1": ErrImagePull: {PULL}'
    assert _found(make_pod().scheduled().waiting("server", "ImagePullBackOff", wrapped)) == first


def test_image_is_named_when_the_kubelet_says_nothing() -> None:
    assert IMAGE in _found(make_pod().scheduled().waiting("server", "ImagePullBackOff")).message


@pytest.mark.parametrize(
    "message",
    ['secret "hub-token" not found', "couldn't find key token in Secret team/hub-token", 'configmap "proxy" not found'],
)
def test_missing_object_is_named_when_a_container_cannot_be_configured(message: str) -> None:
    found = _found(make_pod().scheduled().waiting("fetch", "CreateContainerConfigError", message))
    assert found.reason is Reason.SECRET_NOT_FOUND
    assert found.message == message
    assert found.container == "fetch"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (ExitCode.BAD_SETTINGS, Reason.BAD_SETTINGS),
        (ExitCode.UNUSABLE_MODEL, Reason.UNSUPPORTED_MODEL),
        (ExitCode.MODEL_NOT_FOUND, Reason.MODEL_NOT_FOUND),
        (ExitCode.ACCELERATOR_MISSING, Reason.ACCELERATOR_MISSING),
        (ExitCode.SOURCE_UNAVAILABLE, Reason.SOURCE_UNAVAILABLE),
        (ExitCode.DISK_FULL, Reason.DISK_FULL),
        (ExitCode.NOT_VERIFIED, Reason.GOLDEN_REQUEST_FAILED),
        (ExitCode.NOT_ALLOWED, Reason.MODEL_AUTH_FAILED),
    ],
)
def test_exit_code_of_the_contract_is_understood_without_a_message(code: int, reason: Reason) -> None:
    found = _found(make_pod().scheduled().fetched().crashed("server", code, "Traceback\nlast line of the log"))
    assert (found.reason, found.exit_code, found.container) == (reason, code, "server")
    assert "last line of the log" in found.message
    assert found.hint


def test_runtimes_own_words_win_when_it_left_some() -> None:
    found = _found(make_pod().scheduled().crashed("fetch", 77, _word("ModelGated", 77)))
    assert (found.component, found.reason) == ("fetch", Reason.MODEL_GATED)
    assert (found.message, found.hint) == ("what happened", "what to do")
    assert found.time == "2026-01-31T08:02:00Z"


def test_exit_code_decides_when_the_reason_is_unknown_to_this_version() -> None:
    assert _found(make_pod().scheduled().crashed("fetch", 66, _word("Novel", 66))).reason is Reason.MODEL_NOT_FOUND


@pytest.mark.parametrize(("container", "reason"), [("server", Reason.OOM_KILLED), ("fetch", Reason.LOADER_OOM_KILLED)])
def test_memory_limit_is_blamed_when_the_kernel_killed_for_it(container: str, reason: Reason) -> None:
    found = _found(make_pod().scheduled().crashed(container, 137, reason="OOMKilled"))
    assert (found.reason, found.exit_code) == (reason, 137)
    assert "memory" in found.hint


def test_memory_limit_is_not_blamed_when_the_kill_had_another_cause() -> None:
    assert _found(make_pod().scheduled().fetched().crashed("server", 137)).reason is Reason.CRASH_LOOPING


@pytest.mark.parametrize("code", [0, 143])
def test_probe_is_blamed_when_the_server_was_told_to_end(code: int) -> None:
    assert _found(make_pod().scheduled().fetched().crashed("server", code)).reason is Reason.PROBE_TIMEOUT


def test_crash_loop_has_one_diagnosis_whether_waiting_or_trying() -> None:
    waiting = make_pod().scheduled().fetched().running().crashed("server", 1, "boom")
    first = _found(waiting)
    assert first.reason is Reason.CRASH_LOOPING
    assert "boom" in first.message
    assert _found(waiting.retrying("server")) == first


def test_container_that_cannot_be_started_is_a_crash_loop() -> None:
    said = 'exec: "modelservice-runtime": executable file not found in $PATH'
    found = _found(make_pod().scheduled().fetched().crashed("server", 128, said, reason="StartError"))
    assert found.reason is Reason.CRASH_LOOPING
    assert said in found.message


@pytest.mark.parametrize(
    ("word", "said", "reason"),
    [
        ("Evicted", "The node was low on resource: ephemeral-storage.", Reason.DISK_FULL),
        ("Evicted", "The node was low on resource: memory.", Reason.OOM_KILLED),
        (
            "UnexpectedAdmissionError",
            "Allocate failed due to requested number of devices unavailable for nvidia.com/gpu.",
            Reason.INSUFFICIENT_GPU,
        ),
        ("OutOfcpu", "Node didn't have enough resource: cpu", Reason.INSUFFICIENT_RESOURCES),
        ("NodeAffinity", "Predicate NodeAffinity failed", Reason.NO_MATCHING_NODE),
    ],
)
def test_kubelet_is_understood_when_it_turns_the_pod_out(word: str, said: str, reason: Reason) -> None:
    found = _found(_gpu_pod().failed(word, said))
    assert found.reason is reason
    assert said in found.message


def test_crash_is_remembered_when_the_pod_has_recovered() -> None:
    pod = make_pod().scheduled().fetched().crashed("server", 1, _word("CudaOutOfMemory", 1)).ready().build()
    assert diagnose(pod) is None
    found = past_failure(pod)
    assert found is not None
    assert found.reason is Reason.CUDA_OUT_OF_MEMORY


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
_WORDS = st.sampled_from(
    ["metadata", "spec", "status", "conditions", "containers", "containerStatuses", "initContainerStatuses", "state",
     "lastState", "terminated", "waiting", "reason", "message", "exitCode", "name", "type"]
)  # fmt: skip
_PODS = st.recursive(
    _JSON,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=5),
    max_leaves=30,
)


@given(st.dictionaries(_WORDS, _PODS, max_size=5))
def test_diagnosis_never_fails_when_the_pod_is_malformed(pod: dict[str, Any]) -> None:
    diagnose(pod)
    past_failure(pod)


def _refused(problem: str) -> PodBuilder:
    service = make_modelservice().with_spec(security={"apiKeySecretRef": {"name": "chat-keys"}}).build()
    word = {"reason": "BadSettings", "message": f"security.api_key_file: {problem}", "hint": "see the README"}
    return make_pod(service).scheduled().crashed("server", ExitCode.BAD_SETTINGS, json.dumps(word))


@pytest.mark.parametrize("problem", ["holds no key", "cannot be read: No such file or directory"])
def test_secret_is_named_when_the_server_finds_no_api_key(problem: str) -> None:
    found = _found(_refused(f"/etc/modelservice-keys {problem}"))
    assert found.reason is Reason.SECRET_NOT_FOUND
    assert "Secret chat-keys of spec.security.apiKeySecretRef" in found.message
    assert "kubectl create secret generic chat-keys" in found.hint


def test_setting_is_told_when_an_api_key_has_the_wrong_form() -> None:
    found = _found(_refused("team, line 1: a key has 16 to 512 visible ASCII characters without `:`"))
    assert found.reason is Reason.BAD_SETTINGS
    assert "team, line 1" in found.message


def test_source_is_at_fault_when_an_adapter_does_not_arrive() -> None:
    adapters = [{"name": "fin", "uri": "hf://org/fin"}]
    pod = make_pod(make_modelservice().with_model(adapters=adapters).build()).scheduled().fetched()
    word = {"reason": "ModelNotFound", "message": "hf://org/fin: no such repository"}
    found = _found(pod.crashed("fetch-adapter-1", ExitCode.MODEL_NOT_FOUND, json.dumps(word)))
    assert (found.component, found.container, found.reason) == ("fetch", "fetch-adapter-1", Reason.MODEL_NOT_FOUND)


def test_pod_is_well_when_every_adapter_has_arrived() -> None:
    adapters = [{"name": "fin", "uri": "hf://org/fin"}]
    pod = make_pod(make_modelservice().with_model(adapters=adapters).build()).scheduled().fetched().running()
    ended = {"exitCode": 0, "reason": "Completed", "startedAt": CREATED, "finishedAt": CREATED}
    pod.body["status"]["initContainerStatuses"][1].update(ready=True, state={"terminated": ended})
    assert diagnose(pod.build()) is None
