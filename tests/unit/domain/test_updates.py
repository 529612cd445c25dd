"""Pods that serve are not replaced for a template that nobody asked for, until somebody or the profile says so."""

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from modelservice_operator.api.v1alpha1 import RuntimeProfile
from modelservice_operator.domain import (
    ApplyResults,
    Observed,
    ObservedState,
    SpecError,
    compute_status,
    look_at,
    plan,
)
from modelservice_operator.domain.asked import asked_digest
from modelservice_operator.domain.pods import revision_of
from modelservice_operator.domain.updates import WAVE_LOOKS_SECONDS, is_taking, is_unasked, keep_template
from tests.fields.proofs import BARE, PROFILE_SPEC, SERVICES
from tests.support.builders import (
    FACTS,
    OWNER_UID,
    Body,
    ModelServiceBuilder,
    make_children,
    make_live,
    make_modelservice,
    make_pod,
    make_profile,
    render_all,
)
from tests.unit.domain.test_status import COUNTS

CHAT = make_modelservice("oci://localhost/models/chat:1")
OLD, NEW = "registry.example.com/old:1", "registry.example.com/new:1"
SATURDAY = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
NIGHT = {"start": "0 2 * * 0", "end": "0 4 * * 0"}


def _profile(image: str, **updates: Any) -> RuntimeProfile:
    return make_profile("cpu", image=image, updates=updates)


def _deployment(service: ModelServiceBuilder, profile: RuntimeProfile) -> Body:
    return next(body for body in render_all(service.build(), profile) if body["kind"] == "Deployment")


def _live(manifest: Any) -> Body:
    return make_live(manifest) | {"status": {"observedGeneration": 1, **COUNTS}}


def _pod(image: str = OLD) -> Any:
    return make_pod(CHAT.build(), profile=_profile(image), name="a", template_hash="a")


def _world(
    service: ModelServiceBuilder, profile: RuntimeProfile, live: Body, pod: Any, now: datetime = SATURDAY
) -> Any:
    state = ObservedState({("Deployment", "chat"): live}, [pod.build()] if pod else [], seen_at=now)
    return look_at(service.build(), profile, state, ApplyResults())


def _keep(
    profile: RuntimeProfile,
    live: Body | None = None,
    service: ModelServiceBuilder = CHAT,
    pod: Any = None,
    turn: bool = False,
    now: datetime = SATURDAY,
) -> tuple[Body, float | None]:
    """What is applied, and when it is looked at again, of a service that serves with the old image unless told else."""
    live = live if live is not None else _live(_deployment(CHAT, _profile(OLD)))
    wanted = _deployment(service, profile)
    assert is_unasked([wanted], {("Deployment", "chat"): live})
    chosen, after = keep_template(wanted, _world(service, profile, live, pod or _pod().ready(), now), lambda: turn)
    return dict(chosen), after


def _image(chosen: Body) -> str:
    return str(chosen["spec"]["template"]["spec"]["containers"][0]["image"])


def _newest(service: ModelServiceBuilder = CHAT) -> str:
    return revision_of(_deployment(service, _profile(NEW))["spec"]["template"])


def _annotated(service: ModelServiceBuilder, revision: str) -> ModelServiceBuilder:
    body = copy.deepcopy(service.body)
    body["metadata"]["annotations"] = {"modelservice.dev/take-template": revision}
    return ModelServiceBuilder(body)


def test_pods_that_serve_are_kept_and_the_newer_template_is_told_when_the_profile_changes() -> None:
    chosen, after = _keep(_profile(NEW))
    assert (_image(chosen), after) == (OLD, None)
    manifests = [chosen if body["kind"] == "Deployment" else body for body in render_all(CHAT.build(), _profile(NEW))]
    children = make_children(manifests) | {("Deployment", "chat"): _live(chosen)}
    state = ObservedState(
        children, [_pod().ready().build()], plan=plan(manifests, Observed(OWNER_UID, children)), facts=FACTS
    )
    status = compute_status(CHAT.build(), _profile(NEW), state, ApplyResults(), SATURDAY)
    told = {entry["type"]: entry for entry in status["conditions"]}
    assert (told["Progressing"]["status"], told["Progressing"]["reason"]) == ("True", "NewTemplateAvailable")
    assert "spec.containers[server].image" in told["Progressing"]["message"]
    assert f"modelservice.dev/take-template={_newest()}" in told["Progressing"]["message"]
    assert told["Ready"]["status"] == "True"


def test_kept_template_stays_the_same_and_drift_is_repaired_when_looked_at_again() -> None:
    chosen, _ = _keep(_profile(NEW))
    live = _live(chosen)
    again, _ = _keep(_profile(NEW), live)
    assert again == chosen
    live["spec"]["template"]["spec"]["containers"][0]["image"] = "somebody.example.com/else:1"
    assert _image(_keep(_profile(NEW), live)[0]) == OLD


def test_nothing_is_noted_any_more_when_the_profile_is_changed_back() -> None:
    chosen, _ = _keep(_profile(NEW))
    back, after = _keep(_profile(OLD), _live(chosen))
    assert (back, after) == (_deployment(CHAT, _profile(OLD)), None)


@pytest.mark.parametrize("spec", [{"replicas": 3}, {"suspend": True}, {"autoscaling": {"maxReplicas": 3}}])
def test_pods_are_kept_when_the_spec_changes_in_what_is_not_about_them(spec: Body) -> None:
    service = CHAT.with_spec(**spec)
    assert asked_digest(service.build()) == asked_digest(CHAT.build())
    assert _image(_keep(_profile(NEW), service=service)[0]) == OLD


def test_newer_template_is_taken_when_the_spec_changes_in_what_is_about_pods() -> None:
    service = CHAT.with_spec(runtime={"env": [{"name": "A", "value": "b"}]})
    live, wanted = _live(_deployment(CHAT, _profile(OLD))), _deployment(service, _profile(NEW))
    assert not is_unasked([wanted], {("Deployment", "chat"): live})
    kept = _live(_keep(_profile(NEW))[0])
    assert _image(_keep(_profile(NEW), kept, service)[0]) == NEW


@pytest.mark.parametrize("name", SERVICES)
def test_spec_asks_for_other_pods_whenever_it_changes_them(name: str) -> None:
    bare, service = (CHAT.with_spec(**copy.deepcopy(SERVICES[each])) for each in (BARE, name))
    templates = [
        _deployment(each, make_profile("fields", **PROFILE_SPEC))["spec"]["template"] for each in (bare, service)
    ]
    is_same = revision_of(templates[0]) == revision_of(templates[1])
    assert is_same or asked_digest(bare.build()) != asked_digest(service.build())


def test_nothing_is_unasked_when_only_the_spelling_of_a_default_changes() -> None:
    assert asked_digest(CHAT.with_spec(rollout={"autoRollback": False}).build()) == asked_digest(CHAT.build())


def test_newer_template_is_taken_when_a_person_names_it_and_only_then() -> None:
    assert _image(_keep(_profile(NEW), service=_annotated(CHAT, "0123456789"))[0]) == OLD
    assert _image(_keep(_profile(NEW), service=_annotated(CHAT, _newest()))[0]) == NEW


def test_newer_template_is_taken_when_no_pod_runs_or_those_that_do_fail() -> None:
    assert _image(_keep(_profile(NEW), pod=_pod())[0]) == NEW
    assert _image(_keep(_profile(NEW), pod=_pod().scheduled().fetched().crashed("server", 1))[0]) == NEW
    assert _image(_keep(_profile(NEW), pod=_pod().scheduled().fetched().running())[0]) == OLD


def test_pods_without_any_note_are_kept_when_an_older_operator_made_them() -> None:
    live = _live(_deployment(CHAT, _profile(OLD)))
    del live["metadata"]["annotations"]["modelservice.dev/asked"]
    assert _image(_keep(_profile(NEW), live)[0]) == OLD


def test_newer_template_is_taken_at_once_when_the_policy_says_so() -> None:
    assert _image(_keep(_profile(NEW, policy="Immediate"))[0]) == NEW


def test_newer_template_is_taken_in_the_window_and_awaits_it_before() -> None:
    chosen, after = _keep(_profile(NEW, policy="Window", window=NIGHT))
    assert (_image(chosen), after) == (OLD, 18 * 3600)
    sunday = SATURDAY.replace(day=1, month=2, hour=3)
    assert _image(_keep(_profile(NEW, policy="Window", window=NIGHT), now=sunday)[0]) == NEW
    with pytest.raises(SpecError, match=r"RuntimeProfile cpu: spec\.updates\.window\.timezone"):
        _keep(_profile(NEW, policy="Window", window={**NIGHT, "timezone": "Mars/Olympus"}))


def test_newer_template_is_taken_in_turn_and_the_turn_is_noted_until_it_is_ready() -> None:
    wave = _profile(NEW, policy="Wave", maxServices=2)
    chosen, after = _keep(wave)
    assert (_image(chosen), after) == (OLD, WAVE_LOOKS_SECONDS)
    taken, after = _keep(wave, turn=True)
    assert (_image(taken), after) == (NEW, None)
    live = make_live(taken) | {"status": {}}
    assert is_taking(live)
    assert _keep(wave, live)[0] == taken
    counts = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    assert not is_taking(live | {"status": {"observedGeneration": 1, **counts}})


def test_status_says_what_the_template_waits_for() -> None:
    told = []
    for updates in ({"policy": "Window", "window": NIGHT}, {"policy": "Wave"}):
        profile = _profile(NEW, **updates)
        world = _world(CHAT, profile, _live(_keep(profile)[0]), _pod().ready())
        status = compute_status(CHAT.build(), profile, world.state, ApplyResults(), SATURDAY)
        told.append(next(entry["message"] for entry in status["conditions"] if entry["type"] == "Progressing"))
    assert "from '0 2 * * 0' on (RuntimeProfile cpu)" in told[0]
    assert "when other services of RuntimeProfile cpu have got ready" in told[1]


def test_unreadable_note_counts_as_none() -> None:
    live = _live(_deployment(CHAT, _profile(OLD)))
    live["metadata"]["annotations"]["modelservice.dev/kept-template"] = json.dumps("nonsense")
    assert _image(_keep(_profile(NEW), live)[0]) == OLD
