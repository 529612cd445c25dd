"""Which pods the Deployment gets: the spec's, or those that served last, whatever is restarted in between."""

import json
from typing import Any

import pytest

from modelservice_operator.api.reasons import Reason
from modelservice_operator.domain import ApplyResults, ObservedState, choose_revision, compute_status, look_at
from modelservice_operator.domain.pods import revision_of
from modelservice_operator.domain.revisions import kept_accounts
from tests.support.builders import (
    Body,
    ModelServiceBuilder,
    PodBuilder,
    make_live,
    make_modelservice,
    make_pod,
    render_all,
)
from tests.unit.domain.test_status import COUNTS, NOW

GOLDEN = {"path": "/v1/completions", "body": "{}", "expect": "Paris"}
ROLLOUT = {"autoRollback": True, "verification": GOLDEN}
OLD = make_modelservice("oci://localhost/models/old:1").with_spec(rollout=ROLLOUT)
NEW = make_modelservice("oci://localhost/models/new:1").with_spec(rollout=ROLLOUT)
WORD = json.dumps({"reason": "GoldenRequestFailed", "message": "should have answered 'Paris'", "hint": "compare"})
TOO_LATE = {
    "type": "Progressing",
    "status": "False",
    "reason": "ProgressDeadlineExceeded",
    "message": 'ReplicaSet "chat-new" has timed out progressing.',
}


def _wanted(builder: ModelServiceBuilder) -> Body:
    return next(body for body in render_all(builder.build()) if body["kind"] == "Deployment")


def _template(builder: ModelServiceBuilder) -> Body:
    template: Body = _wanted(builder)["spec"]["template"]
    return template


def _live(applied: Any, *conditions: Body, **counts: int) -> Body:
    live = make_live(applied)
    live["status"] = {"observedGeneration": 1, **COUNTS, **counts, "conditions": list(conditions)}
    return live


def _choose(builder: ModelServiceBuilder, live: Body | None, *pods: PodBuilder) -> Body:
    children = {("Deployment", "chat"): live} if live else {}
    state = ObservedState(children, [pod.build() for pod in pods])
    return dict(choose_revision(_wanted(builder), look_at(builder.build(), None, state, ApplyResults())))


def _status(builder: ModelServiceBuilder, live: Body, *pods: PodBuilder) -> Body:
    state = ObservedState({("Deployment", "chat"): live}, [pod.build() for pod in pods])
    return compute_status(builder.build(), None, state, ApplyResults(), NOW)


def _old_pod() -> PodBuilder:
    return make_pod(OLD.build(), name="a", template_hash="old").ready()


def _new_pod() -> PodBuilder:
    return make_pod(NEW.build(), name="b", template_hash="new").scheduled()


def _runs(chosen: Body) -> str:
    return revision_of(chosen["spec"]["template"])


@pytest.fixture
def served() -> Body:
    """The Deployment once the old revision has served."""
    return _choose(OLD, _live(_wanted(OLD)), _old_pod())


@pytest.fixture
def rolling(served: Body) -> Body:
    """The Deployment while the new revision is rolled out."""
    return _choose(NEW, _live(served), _old_pod())


@pytest.fixture
def taken(rolling: Body) -> Body:
    """The Deployment after the new revision was taken back."""
    return _choose(NEW, _live(rolling), _old_pod(), _new_pod().crashed("server", 76, WORD))


def test_nothing_is_noted_when_no_way_back_is_asked_for() -> None:
    plain = OLD.with_spec(rollout={})
    pod = make_pod(plain.build()).ready()
    assert _choose(plain, _live(_wanted(plain)), pod) == _wanted(plain)


def test_revision_is_noted_once_all_its_replicas_serve(served: Body) -> None:
    assert "verified-template" not in str(_choose(OLD, None))
    assert "verified-template" not in str(_choose(OLD, _live(_wanted(OLD)), make_pod(OLD.build()).scheduled()))
    noted = json.loads(served["metadata"]["annotations"]["modelservice.dev/verified-template"])
    assert noted == _template(OLD)
    assert _choose(OLD, _live(served), _old_pod()) == served


def test_new_revision_is_rolled_out_while_the_old_one_stays_noted(rolling: Body) -> None:
    assert _runs(rolling) == revision_of(_template(NEW))
    assert json.loads(rolling["metadata"]["annotations"]["modelservice.dev/verified-template"]) == _template(OLD)
    assert _choose(NEW, _live(rolling), _old_pod(), _new_pod().running()) == rolling
    assert _choose(NEW, _live(rolling), _old_pod(), _new_pod().crashed("server", 1)) == rolling


def test_revision_is_taken_back_when_it_answers_wrongly(taken: Body) -> None:
    assert _runs(taken) == revision_of(_template(OLD))
    status = _status(NEW, _live(taken), _old_pod())
    said = {entry["type"]: entry for entry in status["conditions"]}
    assert (said["Verified"]["status"], said["Verified"]["reason"]) == ("False", "GoldenRequestFailed")
    assert (said["Progressing"]["status"], said["Progressing"]["reason"]) == ("False", "RolledBack")
    assert said["Ready"]["status"] == "False"
    assert "chat-new was taken back" in said["Ready"]["message"]
    assert "should have answered 'Paris'" in said["Ready"]["message"]
    assert status["revision"] == {"current": "chat-old", "failed": "chat-new"}
    assert status["phase"] == "Degraded"


def test_revision_is_taken_back_when_it_is_late_and_not_for_the_lateness_of_another(rolling: Body) -> None:
    crashing = _new_pod().crashed("server", 1, "boom")
    other = {**TOO_LATE, "message": 'ReplicaSet "chat-old" has timed out progressing.'}
    assert _choose(NEW, _live(rolling, other), _old_pod(), crashing) == rolling
    chosen = _choose(NEW, _live(rolling, TOO_LATE), _old_pod(), crashing)
    assert _runs(chosen) == revision_of(_template(OLD))
    back = json.loads(chosen["metadata"]["annotations"]["modelservice.dev/taken-back"])
    assert back["reason"] == Reason.DEADLINE_EXCEEDED
    assert "not ready within 1800 s: CrashLooping" in back["message"]


def test_revision_stays_taken_back_whatever_else_changes(taken: Body) -> None:
    assert _choose(NEW, _live(taken), _old_pod()) == taken
    assert _choose(NEW, _live(taken)) == taken
    scaled = _choose(NEW.with_spec(replicas=3), _live(taken), _old_pod())
    assert (_runs(scaled), scaled["spec"]["replicas"]) == (revision_of(_template(OLD)), 3)


def test_other_pods_start_afresh_and_so_does_a_way_back_that_was_turned_off(taken: Body) -> None:
    third = make_modelservice("oci://localhost/models/third:1").with_spec(rollout=ROLLOUT)
    assert _runs(_choose(third, _live(taken), _old_pod())) == revision_of(_template(third))
    assert "taken-back" not in str(_choose(third, _live(taken), _old_pod()))
    assert _runs(_choose(OLD, _live(taken), _old_pod())) == revision_of(_template(OLD))
    off = NEW.with_spec(rollout={**ROLLOUT, "autoRollback": False})
    assert _choose(off, _live(taken), _old_pod()) == _wanted(off)


def test_nothing_is_taken_back_when_nothing_served_before() -> None:
    live = _live(_choose(NEW, None), TOO_LATE)
    failing = _new_pod().crashed("server", 76, WORD)
    assert _runs(_choose(NEW, live, failing)) == revision_of(_template(NEW))
    said = {entry["type"]: entry for entry in _status(NEW, live, failing)["conditions"]}
    assert said["Progressing"]["reason"] == "DeadlineExceeded"
    assert "No revision that served is known" in said["Progressing"]["message"]


def test_revision_that_served_is_not_taken_back_when_a_replica_fails_later(served: Body) -> None:
    failing = make_pod(OLD.build(), name="c", template_hash="old").scheduled().crashed("server", 76, WORD)
    assert _choose(OLD, _live(served), _old_pod(), failing) == served


def test_account_of_the_pods_that_run_stays_when_the_spec_names_another(taken: Body) -> None:
    children = [("ServiceAccount", "chat"), ("ServiceAccount", "other"), ("Service", "chat")]
    assert kept_accounts([taken], children) == {("ServiceAccount", "chat")}
    assert kept_accounts([_wanted(NEW.with_spec(security={"serviceAccountName": "mine"}))], children) == frozenset()


@pytest.mark.parametrize("note", ["", "{", "[]", "7", '{"spec": 3}'])
def test_spec_decides_when_the_notes_were_tampered_with(taken: Body, note: str) -> None:
    live = _live(taken)
    live["metadata"]["annotations"]["modelservice.dev/taken-back"] = note
    live["metadata"]["annotations"].pop("modelservice.dev/verified-template")
    assert _runs(_choose(NEW, live, _old_pod())) == revision_of(_template(NEW))
