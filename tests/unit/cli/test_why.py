"""How the verdict and its evidence are told."""

from datetime import UTC, datetime
from typing import Any

import click
import pytest

from modelservice_operator.cli.events import WarningEvent
from modelservice_operator.cli.evidence import Evidence, LogEnd, staleness
from modelservice_operator.cli.overseer import OperatorState
from modelservice_operator.cli.podreport import report_pod
from modelservice_operator.cli.why import as_document, as_lines
from modelservice_operator.cli.words import describe_age
from tests.support.builders import make_pod

NOW = datetime(2026, 1, 31, 8, 5, 0, tzinfo=UTC)
SINCE = "2026-01-31T08:02:00Z"


def _condition(type_: str, status: str, reason: str, message: str = "said") -> dict[str, Any]:
    return {"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": SINCE}


def _status(reason: str, status: str = "False", **more: Any) -> dict[str, Any]:
    conditions = [_condition("Ready", status, reason), _condition("Scheduled", "True", "Assigned")]
    return {"observedGeneration": 1, "conditions": conditions, **more}


def _body(told: dict[str, Any], generation: int = 1) -> dict[str, Any]:
    return {"metadata": {"namespace": "team", "name": "chat", "generation": generation}, "status": told}


CRASHED = report_pod(make_pod().scheduled().crashed("server", 70, "Traceback: boom").build())
FAILURE = {"reason": "CrashLooping", "hint": "do this"}
CRASHING = Evidence(
    body=_body(_status("CrashLooping")),
    status=_status("CrashLooping", lastFailure=FAILURE),
    pods=(CRASHED,),
    warnings=(WarningEvent("Pod chat-6d9f-abcde", "BackOff", "Back-off restarting", 7, "2026-01-31T08:04:50Z"),),
    log=LogEnd("chat-6d9f-abcde", "server", True, ("line 1", "line 2")),
    operator=OperatorState("system", "operator:1", 1, "one", 2.0),
    notes=("events could not be read: no",),
)


def _told(evidence: Evidence) -> str:
    return click.unstyle("\n".join(as_lines(evidence, NOW)))


@pytest.mark.parametrize(
    "words",
    [
        "ModelService team/chat is not ready for 3m: CrashLooping\n  said\n  What to do: do this",
        "+ Scheduled Assigned for 3m: said",
        "chat-6d9f-abcde: Pending on node-1",
        "server: waiting (CrashLoopBackOff): back-off 10s restarting failed container, 3 restarts",
        "ended with exit code 70 (Error) 3m ago: Traceback: boom",
        "Pod chat-6d9f-abcde 7 times, last 10s ago: BackOff: Back-off restarting",
        "Last lines of server in chat-6d9f-abcde, before it was started again\n  line 1\n  line 2",
        "one leads, lease renewed 2 s ago, 1 ready in system, image operator:1",
        "Not looked at\n  events could not be read: no",
    ],
)
def test_evidence_is_told_when_a_server_crashes(words: str) -> None:
    assert words in _told(CRASHING)


def test_advice_for_the_reason_is_given_when_the_last_failure_is_another() -> None:
    evidence = Evidence(_body({}), _status("QuotaExceeded", lastFailure=FAILURE), (), (), None, OperatorState())
    assert "Raise the quota" in evidence.hint


def test_ready_service_needs_no_advice() -> None:
    evidence = Evidence(_body({}), _status("Ready", "True", lastFailure=FAILURE), (), (), None, OperatorState())
    assert (evidence.is_ready, evidence.hint) == (True, "")
    assert "team/chat is ready" in _told(evidence)


def test_document_has_verdict_and_evidence() -> None:
    document = as_document(CRASHING)
    assert (document["ready"], document["reason"], document["hint"]) == (False, "CrashLooping", "do this")
    assert document["pods"][0]["found"]["exit_code"] == 70
    assert document["stale"] == []


@pytest.mark.parametrize(
    ("told", "generation", "words"),
    [
        ({}, 1, "no status yet"),
        (_status("Ready", "True"), 2, "of generation 1 of the spec, which is at 2"),
        (_status("Ready", "True"), 1, "still says Ready=True, Ready"),
    ],
)
def test_old_status_is_called_so(told: dict[str, Any], generation: int, words: str) -> None:
    (found,) = staleness(_body(told, generation), _status("CrashLooping"))
    assert words in found


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0s"), (-5, "0s"), (61, "1m1s"), (3600, "1h"), (90061, "1d1h"), (59.9, "59s")]
)
def test_age_is_told_in_two_units(seconds: float, words: str) -> None:
    assert describe_age(seconds) == words
