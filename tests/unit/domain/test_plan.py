"""Planning: what is missing, changed, drifted, in the way or not wanted any more, and nothing else."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelservice_operator.api.names import DESIRED_HASH
from modelservice_operator.domain import Apply, Delete, Observed, Plan, plan, project, remember
from tests.support.builders import OWNER_UID, make_children, make_gpu_profile, make_live, make_modelservice, render_all

EVERYTHING = make_modelservice().with_spec(
    autoscaling={
        "maxReplicas": 4,
        "metrics": [{"type": "CPU", "target": "70%"}, {"type": "Memory", "target": "1024Mi"}],
    },
    availability={"minAvailable": 1},
    observability={"serviceMonitor": {}},
    resources={"requests": {"cpu": "1000m", "memory": "1024Mi"}},
    runtime={"env": [{"name": "EMPTY"}]},
)
MANIFESTS = render_all(EVERYTHING.build(), make_gpu_profile())


def _plan(children: dict[tuple[str, str], Any], manifests: list[dict[str, Any]] | None = None, **more: Any) -> Plan:
    return plan(MANIFESTS if manifests is None else manifests, Observed(OWNER_UID, children, **more))


def _with(kind: str, name: str = "chat") -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    children = copy.deepcopy(make_children(MANIFESTS))
    return children, children[(kind, name)]


def test_nothing_is_done_when_the_children_are_as_the_server_made_them() -> None:
    result = _plan(make_children(MANIFESTS))
    assert result.in_sync
    assert {child.state for child in result.children} == {"InSync"}


def test_every_child_is_applied_in_order_when_none_exists() -> None:
    result = _plan({})
    assert [action.kind for action in result.actions] == [manifest["kind"] for manifest in MANIFESTS]
    assert all(isinstance(action, Apply) and action.reason == "Missing" for action in result.actions)


@pytest.mark.parametrize("kind", [manifest["kind"] for manifest in MANIFESTS])
def test_one_child_is_applied_when_it_alone_is_missing(kind: str) -> None:
    children = {key: body for key, body in make_children(MANIFESTS).items() if key[0] != kind}
    assert [(action.kind, action.reason) for action in _plan(children).actions if isinstance(action, Apply)] == [
        (kind, "Missing")
    ]


def test_child_is_applied_when_its_manifest_changed() -> None:
    other = render_all(EVERYTHING.with_spec(network={"service": {"port": 90}}).build(), make_gpu_profile())
    (action,) = _plan(make_children(MANIFESTS), other).actions
    assert isinstance(action, Apply)
    assert (action.kind, action.reason) == ("Service", "Changed")
    assert any("spec.ports" in field for field in action.fields)


def test_child_is_repaired_when_a_field_was_changed() -> None:
    children, deployment = _with("Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "evil:1"
    (action,) = _plan(children).actions
    assert isinstance(action, Apply)
    assert action.reason == "Drifted"
    assert action.fields == ("spec.template.spec.containers[server].image",)


@pytest.mark.parametrize("what", ["labels", "annotations"])
def test_child_is_repaired_when_a_label_or_the_hash_was_taken_away(what: str) -> None:
    children, service = _with("Service")
    key = DESIRED_HASH if what == "annotations" else "app.kubernetes.io/name"
    del service["metadata"][what][key]
    assert [action.kind for action in _plan(children).actions] == ["Service"]


def test_child_is_taken_back_when_its_owner_reference_was_taken_away() -> None:
    children, service = _with("Service")
    del service["metadata"]["ownerReferences"]
    result = _plan(children)
    assert [action.kind for action in result.actions] == ["Service"]
    assert result.conflicts == ()


@pytest.mark.parametrize("owner", [None, {"kind": "Deployment", "name": "web", "uid": "x", "controller": True}])
def test_object_is_left_alone_when_it_is_not_ours(owner: dict[str, Any] | None) -> None:
    foreign = {"metadata": {"name": "chat", "namespace": "team", "uid": "f"}, "spec": {"type": "ClusterIP"}}
    if owner:
        foreign["metadata"]["ownerReferences"] = [owner]
    result = _plan({**make_children(MANIFESTS), ("Service", "chat"): project("Service", foreign)})
    assert result.actions == ()
    (conflict,) = result.conflicts
    assert "Service chat exists" in conflict.message
    assert ("Deployment/web" in conflict.message) is bool(owner)
    assert not result.in_sync


def test_stripped_child_is_left_alone_when_another_controller_has_it() -> None:
    children, service = _with("Service")
    service["metadata"]["ownerReferences"] = [{"kind": "Web", "name": "w", "uid": "other", "controller": True}]
    assert [conflict.owner for conflict in _plan(children).conflicts] == ["Web/w"]


def test_child_is_awaited_when_it_is_being_deleted() -> None:
    children, service = _with("Service")
    service["metadata"]["deletionTimestamp"] = "2026-01-31T09:00:00Z"
    result = _plan(children)
    assert result.actions == ()
    assert result.waiting
    assert not result.in_sync


def test_child_is_deleted_by_uid_when_its_block_is_gone() -> None:
    fewer = [manifest for manifest in MANIFESTS if manifest["kind"] != "PodDisruptionBudget"]
    result = _plan(make_children(MANIFESTS), fewer)
    assert result.actions == (Delete("PodDisruptionBudget", "team", "chat", "uid-PodDisruptionBudget"),)


def test_surplus_child_is_left_alone_when_it_is_not_ours() -> None:
    children, budget = _with("PodDisruptionBudget")
    budget["metadata"]["ownerReferences"][0]["uid"] = "another"
    fewer = [manifest for manifest in MANIFESTS if manifest["kind"] != "PodDisruptionBudget"]
    assert _plan(children, fewer).in_sync


def test_additions_of_others_are_no_drift() -> None:
    children, deployment = _with("Deployment")
    pod = deployment["spec"]["template"]["spec"]
    pod["containers"].append({"name": "sidecar", "image": "mesh:1"})
    pod["containers"][0]["env"].append({"name": "INJECTED", "value": "1"})
    deployment["metadata"]["labels"]["team"] = "blue"
    deployment["spec"]["replicas"] = 3
    assert _plan(children).in_sync


def test_spelling_of_the_server_is_no_drift_when_it_was_recorded() -> None:
    children, monitor = _with("ServiceMonitor")
    monitor["spec"]["endpoints"][0]["interval"] = "0m30s"
    assert not _plan(children).in_sync
    manifest = next(manifest for manifest in MANIFESTS if manifest["kind"] == "ServiceMonitor")
    recorded = {("ServiceMonitor", "chat"): remember(manifest, copy.deepcopy(monitor))}
    assert _plan(children, recorded=recorded).in_sync
    monitor["spec"]["endpoints"][0]["interval"] = "60s"
    assert not _plan(children, recorded=recorded).in_sync


def _hand_over(replicas: int, ours: bool) -> Apply:
    fixed = render_all(make_modelservice().with_spec(replicas=replicas).build())
    scaled = render_all(make_modelservice().with_spec(autoscaling={"maxReplicas": 9}).build())
    children = make_children(fixed)
    if ours:
        children[("Deployment", "chat")]["ownsReplicas"] = True
    actions = _plan(children, scaled).actions
    return next(action for action in actions if isinstance(action, Apply) and action.kind == "Deployment")


@pytest.mark.parametrize(("live", "kept"), [(4, 4), (0, 1)])
def test_live_replicas_are_kept_when_an_autoscaler_takes_over(live: int, kept: int) -> None:
    assert _hand_over(live, ours=True).manifest["spec"]["replicas"] == kept


def test_replicas_are_let_go_when_the_autoscaler_has_written_them() -> None:
    assert "replicas" not in _hand_over(4, ours=False).manifest["spec"]


def test_projection_tells_whether_we_own_the_replicas() -> None:
    ours = {"manager": "modelservice-operator", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    theirs = {"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    bodies = [{"metadata": {"name": "c", "managedFields": [entry]}, "spec": {}} for entry in (ours, theirs)]
    assert [project("Deployment", body).get("ownsReplicas", False) for body in bodies] == [True, False]
    assert "managedFields" not in project("Deployment", bodies[0])["metadata"]


_QUANTITY = st.sampled_from(["100m", "0.5", "1", "2000m", "1.5", 3])
_MEMORY = st.sampled_from(["1024Mi", "1Gi", "0.5Gi", "1000M", "1G", 1073741824])
_NAMES = st.text("abcXYZ_", min_size=1, max_size=6)
_REQUESTS = st.fixed_dictionaries({"cpu": _QUANTITY, "memory": _MEMORY})
_LIMITS = st.fixed_dictionaries({"memory": _MEMORY})
_METRICS = [{"type": "Memory", "target": "2048Mi"}]
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_RUNTIME = st.builds(
    lambda names, value: {"env": [{"name": name, "value": value} for name in names]},
    st.lists(_NAMES, unique=True, max_size=4),
    _TEXT,
)
_SPECS = st.fixed_dictionaries(
    {},
    optional={
        "resources": st.fixed_dictionaries({"requests": _REQUESTS}, optional={"limits": _LIMITS}),
        "accelerator": st.fixed_dictionaries({"count": st.integers(0, 8)}),
        "availability": st.sampled_from([{"minAvailable": 1}, {"minAvailable": "50%"}]),
        "observability": st.sampled_from([{"serviceMonitor": {}}, {"serviceMonitor": {"interval": "1m"}}]),
        "autoscaling": st.sampled_from([{"maxReplicas": 3}, {"maxReplicas": 3, "metrics": _METRICS}]),
        "network": st.sampled_from([{"service": {"type": "NodePort"}}, {"service": {"port": 8000}}]),
        "runtime": _RUNTIME,
    },
)


@settings(max_examples=60)
@given(_SPECS)
def test_planning_again_does_nothing_when_the_server_has_defaulted_what_was_applied(spec: dict[str, Any]) -> None:
    manifests = render_all(make_modelservice().with_spec(**spec).build())
    applied = {
        (action.kind, action.name): make_live(action.manifest)
        for action in _plan({}, manifests).actions
        if isinstance(action, Apply)
    }
    assert _plan(applied, manifests).in_sync
