"""Diagnosis: what is wrong with a pod, from its status alone.

The scheduler's verdict is looked at first, then what the kubelet says about the pod, then each container in the order
in which it runs. A container that crashed counts as failing until it is ready again, whether it is waiting for its next
try or trying: so a crash loop has one steady diagnosis.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from ..api.contract import ExitCode
from ..api.names import PREFLIGHT_CONTAINER, is_fetch_container
from ..api.reasons import Reason, default_hint
from .api_keys import KEYS_VOLUME, lacks_keys
from .scheduling import scheduling_reason, shortened
from .tree import Tree, branch, items, number, text

_PULL_FAILURES: Final = (
    "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
    "RegistryUnavailable", "SignatureValidationFailed",
)  # fmt: skip
_CONFIG_FAILURES: Final = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")

BY_EXIT_CODE: Final[dict[int, Reason]] = {
    ExitCode.BAD_SETTINGS: Reason.BAD_SETTINGS,
    ExitCode.UNUSABLE_MODEL: Reason.UNSUPPORTED_MODEL,
    ExitCode.MODEL_NOT_FOUND: Reason.MODEL_NOT_FOUND,
    ExitCode.ACCELERATOR_MISSING: Reason.ACCELERATOR_MISSING,
    ExitCode.SOURCE_UNAVAILABLE: Reason.SOURCE_UNAVAILABLE,
    ExitCode.DISK_FULL: Reason.DISK_FULL,
    ExitCode.NOT_VERIFIED: Reason.GOLDEN_REQUEST_FAILED,
    ExitCode.NOT_ALLOWED: Reason.MODEL_AUTH_FAILED,
}

_KILLED: Final = 137
_TERMINATED: Final = 143
_LOG_TAIL: Final = 600
_MESSAGE_LENGTH: Final = 2000


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong.

    `component` is preflight, fetch, server, scheduler or kubelet; `time` is when it happened, if that is known.
    """

    component: str
    reason: Reason
    message: str
    hint: str
    container: str = ""
    exit_code: int | None = None
    time: str = ""


@dataclass(frozen=True, slots=True)
class LastWord:
    """What `modelservice-runtime` left on the termination message."""

    reason: Reason | None
    message: str
    hint: str
    result: Tree


def diagnose(pod: Tree) -> Diagnosis | None:
    """What is wrong with a projected pod; None when it is well, on its way, or being deleted. Never raises."""
    if text(pod, "metadata", "deletionTimestamp"):
        return None
    found = _unplaced(pod) or _turned_out(pod) or next(_failing_containers(pod), None)
    return _without_keys(pod, found) if found is not None else None


def past_failure(pod: Tree) -> Diagnosis | None:
    """The last crash of a container that has recovered since."""
    for status in _container_statuses(pod):
        ended = branch(status, "lastState", "terminated")
        if ended and _is_failure(status, ended):
            return _without_keys(pod, _ended(status, ended))
    return None


def read_last_word(message: str) -> LastWord | None:
    """Read a termination message; None when it is not one of the runtime's."""
    try:
        document = json.loads(message)
    except ValueError:
        return None
    if not isinstance(document, dict) or not text(document, "reason"):
        return None
    return LastWord(
        _reason_named(text(document, "reason")),
        text(document, "message"),
        text(document, "hint"),
        branch(document, "result"),
    )


def _reason_named(word: str) -> Reason | None:
    try:
        return Reason(word)
    except ValueError:
        return None


def requested_accelerators(pod: Tree) -> frozenset[str]:
    """The extended resources that a pod asks for."""
    limits = (branch(container, "resources", "limits") for container in items(pod, "spec", "containers"))
    return frozenset(name for names in limits for name in names if "/" in name)


def _unplaced(pod: Tree) -> Diagnosis | None:
    """The scheduler found no node; what it says of that may arrive when the pod has one already."""
    if text(pod, "spec", "nodeName"):
        return None
    for condition in items(pod, "status", "conditions"):
        if text(condition, "type") != "PodScheduled" or condition.get("status") != "False":
            continue
        if text(condition, "reason") != "Unschedulable":
            return None
        said = text(condition, "message")
        reason = scheduling_reason(said, requested_accelerators(pod))
        when = text(condition, "lastTransitionTime")
        return _diagnosis("scheduler", reason, shortened(said), time=when)
    return None


def _turned_out(pod: Tree) -> Diagnosis | None:
    """The kubelet refused the pod or evicted it: the pod as a whole has failed."""
    word, said = text(pod, "status", "reason"), text(pod, "status", "message")
    if text(pod, "status", "phase") != "Failed" or not word:
        return None
    mine = requested_accelerators(pod)
    if word == "Evicted":
        reason = Reason.DISK_FULL if "ephemeral" in said or "disk" in said.lower() else Reason.OOM_KILLED
    elif any(name in said or name in word for name in mine):
        reason = Reason.INSUFFICIENT_GPU
    elif word.startswith("OutOf"):
        reason = Reason.INSUFFICIENT_RESOURCES
    else:
        reason = Reason.NO_MATCHING_NODE if "Affinity" in word else Reason.CRASH_LOOPING
    return _diagnosis("kubelet", reason, f"{word}: {said}" if said else word)


def _failing_containers(pod: Tree) -> Iterator[Diagnosis]:
    for status in _container_statuses(pod):
        waiting = branch(status, "state", "waiting")
        word = text(waiting, "reason")
        if word in _PULL_FAILURES:
            yield _unpulled(status, waiting)
        elif word in _CONFIG_FAILURES and not branch(status, "lastState", "terminated"):
            yield _unstarted(status, waiting)
        else:
            ended = branch(status, "state", "terminated") or branch(status, "lastState", "terminated")
            if ended and not _is_well(status) and _is_failure(status, ended):
                yield _ended(status, ended)


def _without_keys(pod: Tree, found: Diagnosis) -> Diagnosis:
    """Name the Secret where the server refused to start for want of API keys."""
    if found.reason is not Reason.BAD_SETTINGS or not lacks_keys(found.message):
        return found
    volumes = (entry for entry in items(pod, "spec", "volumes") if text(entry, "name") == KEYS_VOLUME)
    name = text(next(volumes, {}), "secret", "secretName")
    message = (
        f"The Secret {name} of spec.security.apiKeySecretRef does not exist in the namespace, or holds no key; the "
        "server refuses to run without one"
    )
    hint = f"Create it: kubectl create secret generic {name} --from-literal=NAME=$(openssl rand -hex 24)"
    return replace(found, reason=Reason.SECRET_NOT_FOUND, message=message, hint=hint)


def _container_statuses(pod: Tree) -> list[Tree]:
    return [*items(pod, "status", "initContainerStatuses"), *items(pod, "status", "containerStatuses")]


def _is_failure(status: Tree, ended: Tree) -> bool:
    """Whether the end was one that should not have been: any end of the server, the others' unless they were done."""
    return number(ended, "exitCode") != 0 or _component_of(text(status, "name")) == "server"


def _is_well(status: Tree) -> bool:
    """Whether a container that ended before works again; a preflight, which has no probe, only once it is done."""
    return status.get("ready") is True and text(status, "name") != PREFLIGHT_CONTAINER


def _component_of(container: str) -> str:
    if container == PREFLIGHT_CONTAINER:
        return "preflight"
    return "fetch" if is_fetch_container(container) else "server"


def _unpulled(status: Tree, waiting: Tree) -> Diagnosis:
    image = text(status, "image")
    said = _pull_message(text(waiting, "message"))
    message = said if said and image in said else f"{image}: {said or text(waiting, 'reason')}"
    return _diagnosis("kubelet", Reason.IMAGE_PULL_FAILED, message, container=text(status, "name"))


def _pull_message(said: str) -> str:
    """The registry's answer without the kubelet's growing wrapping, so that a back-off does not change the message."""
    _, wrapped, inner = said.partition(": ErrImagePull: ")
    return inner if wrapped else said


def _unstarted(status: Tree, waiting: Tree) -> Diagnosis:
    said = text(waiting, "message")
    lower = said.lower()
    missing = "secret" in lower and ("not found" in lower or "find key" in lower)
    missing = missing or ("configmap" in lower and ("not found" in lower or "find key" in lower))
    reason = Reason.SECRET_NOT_FOUND if missing else Reason.CRASH_LOOPING
    return _diagnosis("kubelet", reason, said or text(waiting, "reason"), container=text(status, "name"))


def _ended(status: Tree, ended: Tree) -> Diagnosis:
    name, code = text(status, "name"), number(ended, "exitCode")
    found = _ending(_component_of(name), code, ended)
    return replace(found, container=name, exit_code=code, time=text(ended, "finishedAt"))


def _ending(component: str, code: int, ended: Tree) -> Diagnosis:
    said = text(ended, "message")
    if text(ended, "reason") == "OOMKilled":
        reason = Reason.OOM_KILLED if component == "server" else Reason.LOADER_OOM_KILLED
        return _diagnosis(
            component, reason, f"The kernel ended the {component} container: it went over its memory limit"
        )
    word = read_last_word(said)
    if word is not None and word.reason not in (None, Reason.COMPLETED):
        return _diagnosis(component, word.reason or Reason.CRASH_LOOPING, word.message, hint=word.hint)
    if code in BY_EXIT_CODE:
        return _diagnosis(component, BY_EXIT_CODE[code], _tail(said) or f"The {component} container ended with {code}")
    if component == "server" and code in (0, _TERMINATED):
        message = "The kubelet ended the server, because a probe was not answered in its time"
        return _diagnosis(component, Reason.PROBE_TIMEOUT, message)
    return _diagnosis(component, Reason.CRASH_LOOPING, _crash_message(component, code, said))


def _crash_message(component: str, code: int, said: str) -> str:
    if code == _KILLED:
        return (
            f"The {component} container was killed (137) and not for its memory limit: it did not end in time after a "
            "failed probe, or the node ran out of memory"
        )
    message = f"The {component} container ended with exit code {code}"
    return f"{message}: {_tail(said)}" if said else message


def _tail(said: str) -> str:
    """The last lines of a log, not more than a status should carry."""
    return said.strip()[-_LOG_TAIL:].strip()


def _diagnosis(component: str, reason: Reason, message: str, hint: str = "", **more: Any) -> Diagnosis:
    cut = message[:_MESSAGE_LENGTH]
    return Diagnosis(component, reason, cut, hint or default_hint(reason), **more)
