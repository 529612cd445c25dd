"""Rendering: what a user writes arrives as it was written, and nothing else arrives."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelservice_operator.api.kinds import CHILD_KINDS
from modelservice_operator.api.names import DESIRED_HASH
from modelservice_operator.domain import OPEN, ChildSpec, Door, Rest, desired, judge_source
from modelservice_operator.render import Renderer, TemplateError
from tests.support.builders import FACTS, make_modelservice

RENDERER = Renderer()
NASTY = (
    "{{ 7 * 7 }}",
    "{% for x in y %}",
    "a: b\n- c",
    "'\"\\",
    "#no comment",
    "yes",
    "1e3",
    "~",
    "tab\tand\r\nend",
    "\u2028\u0085\u00a0\ufeff\x7f",
    "überall 🦜",
    "$(HOME) ${HOME}",
    "---",
)


def _spec(kind: str, **blocks: Any) -> ChildSpec:
    children = desired(make_modelservice().with_spec(**blocks).build(), None, FACTS)
    return next(child for child in children if child.kind.kind == kind)


def _render(child: ChildSpec) -> dict[str, Any]:
    return RENDERER.render(child.template, child.values)


@pytest.mark.parametrize("text", NASTY)
def test_value_arrives_verbatim_when_it_looks_like_syntax(text: str) -> None:
    runtime = {"env": [{"name": "X", "value": text}], "args": [text]}
    server = _render(_spec("Deployment", runtime=runtime))["spec"]["template"]["spec"]["containers"][0]
    assert server["args"] == ["serve", text]
    assert {"name": "X", "value": text} in server["env"]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_annotation_arrives_verbatim_when_it_is_any_text(text: str) -> None:
    manifest = _render(_spec("Service", network={"service": {"annotations": {"example.com/x": text}}}))
    assert manifest["metadata"]["annotations"]["example.com/x"] == text


def test_open_object_arrives_verbatim_when_it_holds_every_type() -> None:
    behavior = {"scaleUp": {"a": [1, 2.5, 1e20, -3e-7, True, False, None, "null"], "b": {"c: d": {}}}}
    manifest = _render(_spec("HorizontalPodAutoscaler", autoscaling={"maxReplicas": 2, "behavior": behavior}))
    assert manifest["spec"]["behavior"] == behavior


def test_rendering_fails_when_a_value_is_missing() -> None:
    child = _spec("Service")
    values = {key: value for key, value in child.values.items() if key != "selector"}
    with pytest.raises(TemplateError, match=r"service\.yaml\.j2.*selector"):
        RENDERER.render(child.template, values)


def test_rendering_fails_when_a_value_cannot_be_written() -> None:
    child = _spec("Service")
    with pytest.raises(TemplateError, match="not JSON"):
        RENDERER.render(child.template, {**child.values, "type": object()})


def test_rendering_fails_when_the_template_is_unknown() -> None:
    with pytest.raises(TemplateError, match="no such template"):
        RENDERER.render("secret.yaml.j2", {})


def test_namespace_cannot_differ_from_the_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    child = _spec("ServiceAccount")
    values = copy.deepcopy(dict(child.values))
    template = RENDERER._environment.from_string(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: chat, namespace: kube-system}\n"
    )
    monkeypatch.setattr(RENDERER._environment, "get_template", lambda _: template)
    with pytest.raises(TemplateError, match=r"metadata\.namespace: is 'kube-system' and must be 'team'"):
        RENDERER.render(child.template, values)


def test_kind_cannot_differ_from_the_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    child = _spec("ServiceAccount")
    template = RENDERER._environment.from_string("apiVersion: v1\nkind: Secret\nmetadata: {name: chat}\n")
    monkeypatch.setattr(RENDERER._environment, "get_template", lambda _: template)
    with pytest.raises(TemplateError, match="kind: is 'Secret'"):
        RENDERER.render(child.template, child.values)


def test_hash_is_the_same_when_nothing_changed_and_another_when_something_did() -> None:
    first, again, other = _render(_spec("Service")), _render(_spec("Service")), _render(_spec("Service", replicas=1))
    changed = _render(_spec("Service", network={"service": {"port": 90}}))
    hashes = [manifest["metadata"]["annotations"][DESIRED_HASH] for manifest in (first, again, other, changed)]
    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]


def test_every_kind_has_a_template() -> None:
    service = make_modelservice().with_spec(
        autoscaling={"maxReplicas": 2},
        availability={"minAvailable": 1},
        network={"ingress": {}, "httpRoute": {"parentRefs": [{"name": "public"}]}, "networkPolicy": {}},
        observability={"serviceMonitor": {}, "prometheusRule": {}, "dashboard": {}},
    )
    others = service.with_spec(autoscaling={"maxReplicas": 2, "backend": "KEDA"}).build()
    closed = judge_source(service.build(), None, FACTS, {}, ())
    asked = ((service.build(), OPEN), (others, OPEN), (service.build(), closed))
    held = Rest(at_zero=True, door=Door(20007))
    by_kind = {child.kind: _render(child) for each, gate in asked for child in desired(each, None, FACTS, gate, held)}
    for kind in CHILD_KINDS:
        manifest = by_kind[kind]
        assert (manifest["kind"], manifest["apiVersion"]) == (kind.kind, kind.api_version)
        (owner,) = manifest["metadata"]["ownerReferences"]
        assert owner["controller"] is True
        assert owner["blockOwnerDeletion"] is True
