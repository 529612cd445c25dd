"""What may be merged into the pod template, and what is the operator's."""

from typing import Any

import pytest

from modelservice_operator.api.names import REVISION
from modelservice_operator.api.reasons import Reason
from modelservice_operator.domain import SpecError, desired
from tests.support.builders import FACTS, make_modelservice, render_all


def _refusal(patch: dict[str, Any]) -> SpecError:
    with pytest.raises(SpecError) as caught:
        desired(make_modelservice().with_spec(podTemplate=patch).build(), None, FACTS)
    assert caught.value.reason is Reason.INVALID_SPEC
    return caught.value


def _server(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "server", **fields}]}}


def test_sidecar_stands_beside_the_server_and_nothing_of_ours_is_lost() -> None:
    plain = render_all(make_modelservice().build())
    patch = {"spec": {"containers": [{"name": "proxy", "image": "proxy:1"}]}}
    merged = render_all(make_modelservice().with_spec(podTemplate=patch).build())
    before, after = (
        next(body for body in bodies if body["kind"] == "Deployment")["spec"]["template"] for bodies in (plain, merged)
    )
    assert after["spec"]["containers"] == [*before["spec"]["containers"], {"name": "proxy", "image": "proxy:1"}]
    assert after["metadata"]["labels"].pop(REVISION) != before["metadata"]["labels"].pop(REVISION)
    assert after["metadata"] == before["metadata"]


@pytest.mark.parametrize(
    ("patch", "field", "way_out"),
    [
        ({"replicas": 2}, "replicas", "use metadata and spec"),
        ({"metadata": {"name": "x"}}, "metadata.name", "use metadata.labels"),
        ({"metadata": {"labels": {"modelservice.dev/name": "x"}}}, "metadata.labels[modelservice.dev/name]", "remove"),
        ({"metadata": {"annotations": {"modelservice.dev/settings": "x"}}}, "metadata.annotations", "remove"),
        ({"spec": {"serviceAccountName": "x"}}, "spec.serviceAccountName", "use spec.security.serviceAccountName"),
        ({"spec": {"terminationGracePeriodSeconds": 1}}, "spec.terminationGracePeriodSeconds", "drainSeconds"),
        (_server(image="x"), "spec.containers[server].image", "use spec.runtime.image"),
        (_server(args=[]), "spec.containers[server].args", "use spec.runtime.args"),
        (_server(resources={}), "spec.containers[server].resources", "use spec.resources"),
        (_server(livenessProbe=None), "spec.containers[server].livenessProbe", "remove it"),
        (_server(**{"$patch": "delete"}), "spec.containers[server]", "remove it"),
        (
            _server(volumeMounts=[{"mountPath": "/models/chat/x", "name": "y"}]),
            "spec.containers[server].volumeM",
            "remove",
        ),
        (
            {"spec": {"initContainers": [{"name": "fetch", "command": []}]}},
            "spec.initContainers[fetch].command",
            "remove",
        ),
        ({"spec": {"volumes": [{"name": "model", "emptyDir": {}}]}}, "spec.volumes[model]", "remove it"),
    ],
)
def test_what_is_the_operators_cannot_be_overridden(patch: dict[str, Any], field: str, way_out: str) -> None:
    error = _refusal(patch)
    assert error.field.startswith(f"spec.podTemplate.{field}")
    assert way_out in error.message


@pytest.mark.parametrize(
    "patch",
    [{"spec": None}, {"metadata": {"labels": None}}, {"spec": {"containers": None}}, {"spec": {"volumes": [{}]}}],
)
def test_shape_is_told_when_the_patch_is_not_that_of_a_pod(patch: dict[str, Any]) -> None:
    assert "must be" in _refusal(patch).message
