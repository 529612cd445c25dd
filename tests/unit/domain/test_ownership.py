"""Owners of fields, and the plan that leaves alone what they took."""

import copy
from typing import Any

import pytest

from modelservice_operator.api.names import FIELD_MANAGER
from modelservice_operator.domain import Apply, Observed, Plan, plan, report_drift
from modelservice_operator.domain.ownership import managers_of
from tests.support.builders import OWNER_UID, make_children, make_modelservice, render_all

SERVICE = make_modelservice().with_spec(replicas=2, termination={"drainSeconds": 45})
MANIFESTS = render_all(SERVICE.build())
KEY = ("Deployment", "chat")
GRACE = "spec.template.spec.terminationGracePeriodSeconds"
IN_POD = {"f:spec": {"f:template": {"f:spec": {"f:terminationGracePeriodSeconds": {}}}}}


def _owned(fields: dict[str, Any], manager: str = "kubectl-edit") -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "fieldsV1": fields}


def _live(*entries: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"managedFields": list(entries)}, "spec": spec}


@pytest.mark.parametrize(
    ("path", "fields", "is_owner"),
    [
        ("spec.ports[http].port", {"f:ports": {'k:{"port":81,"protocol":"TCP"}': {"f:port": {}}}}, True),
        ("spec.ports[http].port", {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {"f:port": {}}}}, False),
        ("spec.selector.modelservice.dev/name", {"f:selector": {}}, True),
        ("spec.ports[0].port", {"f:ports": {}}, True),
        ("spec.ports", {"f:ports": {".": {}}}, True),
        ("spec.type", {"f:ports": {}}, False),
        ("spec.typewriter", {"f:type": {}}, False),
        ("spec.labels.app.kubernetes.io/name", {"f:labels": {"f:app": {}}}, False),
        ("spec.labels.app.kubernetes.io/name", {"f:labels": {"f:app.kubernetes.io/name": {}}}, True),
        ("spec.ports[http].port", {"f:ports": {"k:broken": {"f:port": {}}}}, False),
    ],
)
def test_owner_is_found_by_the_path(path: str, fields: dict[str, Any], is_owner: bool) -> None:
    live = _live(_owned({"f:spec": fields}), ports=[{"name": "http", "port": 81, "protocol": "TCP"}])
    assert managers_of(path, live) == (("kubectl-edit",) if is_owner else ())


def test_nobody_owns_anything_when_the_api_server_kept_no_record() -> None:
    assert managers_of("spec.type", {}) == managers_of("spec.type", _live({"manager": "x", "fieldsV1": {}})) == ()


def _reported(*entries: dict[str, Any], grace: int | None = 600, **changes: Any) -> tuple[Plan, Any]:
    """The plan for a Deployment with another grace period, after `changes` of the spec."""
    children = copy.deepcopy(make_children(MANIFESTS))
    pod = children[KEY]["spec"]["template"]["spec"]
    pod["terminationGracePeriodSeconds"] = grace
    if grace is None:
        del pod["terminationGracePeriodSeconds"]
    wanted = render_all(SERVICE.with_spec(**changes).build()) if changes else MANIFESTS
    found = plan(wanted, Observed(OWNER_UID, children))
    raw = {**children[KEY], "metadata": {**children[KEY]["metadata"], "managedFields": list(entries)}}
    reported = report_drift(found, {KEY: raw})
    return reported, next((step for step in reported.actions if isinstance(step, Apply) and step.kind == KEY[0]), None)


def _told(reported: Plan) -> dict[str, str]:
    (child,) = (child for child in reported.children if (child.kind, child.name) == KEY)
    return {drift.field: drift.manager for drift in child.drift}


def test_field_of_another_stays_and_is_told() -> None:
    reported, step = _reported(_owned(IN_POD))
    assert step is None
    assert _told(reported) == {GRACE: "kubectl-edit"}
    assert not reported.in_sync


def test_removed_field_is_told_without_an_owner() -> None:
    reported, step = _reported(_owned({"f:spec": {"f:paused": {}}}), grace=None)
    assert step is None
    assert _told(reported) == {GRACE: ""}


def test_field_is_applied_when_it_is_still_ours_so_that_the_servers_spelling_is_learnt() -> None:
    reported, step = _reported(_owned(IN_POD, FIELD_MANAGER))
    assert step is not None
    assert _told(reported) == {}


def test_changed_manifest_is_applied_without_the_field_of_another() -> None:
    reported, step = _reported(_owned(IN_POD), runtime={"image": "other:1"})
    pod = step.manifest["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "other:1"
    assert "terminationGracePeriodSeconds" not in pod
    assert _told(reported) == {GRACE: "kubectl-edit"}


def test_only_the_taken_part_of_a_list_is_left_out() -> None:
    image = {"f:containers": {'k:{"name":"server"}': {"f:image": {}}}}
    _, step = _reported(_owned({"f:spec": {"f:template": {"f:spec": image}}}), grace=45, runtime={"image": "other:1"})
    (server,) = (item for item in step.manifest["spec"]["template"]["spec"]["containers"] if item["name"] == "server")
    assert "image" not in server
    assert server["readinessProbe"]


def test_replicas_follow_the_spec_whoever_has_written_them() -> None:
    _, step = _reported(_owned({"f:spec": {"f:replicas": {}}}), replicas=5)
    assert step.manifest["spec"]["replicas"] == 5
