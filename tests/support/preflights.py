"""Pods of preflights as the kubelet reports them, and what `inspect` leaves on the termination message."""

import copy
import json
from typing import Any

from modelservice_operator.api.names import preflight_labels
from modelservice_operator.api.v1alpha1 import ModelService, RuntimeProfile
from modelservice_operator.domain import project
from modelservice_operator.domain.preflight import JOB_NAME
from modelservice_operator.domain.preflight_job import preflight_job
from tests.support.builders import CREATED, FACTS, NAMESPACE

Body = dict[str, Any]

COMMIT = "7ae557604adf67be50417f59c2c2f167def9a775"
INSPECTED: Body = {
    "resolvedRevision": COMMIT,
    "sizeBytes": 988097824,
    "format": "safetensors",
    "architecture": "Qwen2ForCausalLM",
    "parameters": 494032768,
    "dtype": "bfloat16",
    "task": "chat",
    "maxContext": 32768,
    "cacheValuesPerToken": 6144,
}
"""What `inspect` finds in a small language model."""


def last_word(reason: str, exit_code: int, message: str = "", result: Body | None = None) -> str:
    """The termination message of `inspect`."""
    word = {"component": "inspect", "reason": reason, "message": message, "hint": "", "exitCode": exit_code}
    return json.dumps({**word, "result": result})


class PreflightPod:
    """A pod of a Job; every method returns it projected, in one of its states."""

    def __init__(self, job: str, name: str) -> None:
        self._body: Body = {
            "metadata": {
                "name": f"{job}-abcde",
                "namespace": NAMESPACE,
                "uid": "uid-preflight",
                "creationTimestamp": CREATED,
                "labels": {**preflight_labels(name), JOB_NAME: job},
            },
            "spec": {"nodeName": "node-1", "containers": [{"name": "preflight"}]},
            "status": {"phase": "Running"},
        }

    def running(self) -> Body:
        """It runs, and as it has no probe it counts as ready."""
        return self._with({"running": {}}, ready=True)

    def finished(self, result: Body) -> Body:
        """It has done its work."""
        ended = {"exitCode": 0, "reason": "Completed", "message": last_word("Completed", 0, result=result)}
        return self._with({"terminated": ended})

    def failed(self, reason: str, exit_code: int, message: str = "") -> Body:
        """It has failed and waits for its next try."""
        return self._with({"waiting": {"reason": "CrashLoopBackOff"}}, last=_end(reason, exit_code, message))

    def retrying(self, reason: str, exit_code: int, message: str = "") -> Body:
        """It has failed and tries again."""
        return self._with({"running": {}}, last=_end(reason, exit_code, message), ready=True)

    def waiting(self, reason: str, message: str) -> Body:
        """The kubelet cannot start it."""
        return self._with({"waiting": {"reason": reason, "message": message}})

    def _with(self, state: Body, last: Body | None = None, ready: bool = False) -> Body:
        status = {"name": "preflight", "ready": ready, "state": state}
        body = copy.deepcopy(self._body)
        body["status"]["containerStatuses"] = [{**status, "lastState": {"terminated": last} if last else {}}]
        return project("Pod", body)


def make_preflight_pod(service: ModelService, profile: RuntimeProfile | None = None) -> PreflightPod:
    """A pod of the Job that looks at the model of a service."""
    return PreflightPod(preflight_job(service, profile, FACTS).name, service.metadata.name)


def _end(reason: str, exit_code: int, message: str) -> Body:
    word = last_word(reason, exit_code, message)
    return {"exitCode": exit_code, "reason": "Error", "finishedAt": CREATED, "message": word}
