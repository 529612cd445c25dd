"""What the CRDs give to people and autoscalers, on a real API server."""

import json

import pytest

from tests.apiserver.rows import profile, service
from tests.cluster.errors import ClusterError
from tests.support.polling import wait_until

pytestmark = pytest.mark.control_plane


@pytest.fixture
def chat(served):
    manifest = service(name="crd-test")
    served.kubectl("create", "-f", "-", input=json.dumps(manifest))
    yield served
    served.kubectl("delete", "modelservice", "crd-test")


@pytest.fixture(scope="module")
def explained(served):
    """The schema is published a moment after the kinds are established."""

    def is_explained() -> bool:
        try:
            return bool(
                served.kubectl("explain", "runtimeprofile.spec") and served.kubectl("explain", "modelservice.spec")
            )
        except ClusterError:
            return False

    wait_until(is_explained, "the schema is published", seconds=30, pause=0.2)
    return served


@pytest.mark.parametrize("path", ["modelservice", "modelservice.spec", "modelservice.status", "runtimeprofile.spec"])
def test_explain_describes_every_field_when_asked(explained, path):
    text = explained.kubectl("explain", path)

    assert "DESCRIPTION" in text
    assert "<no description>" not in text.replace("metadata\t<ObjectMeta>", "")


def test_explain_shows_the_forms_of_a_uri_when_asked_for_the_model(explained):
    assert "hf://org/name[@revision]" in explained.kubectl("explain", "modelservice.spec.model")


def test_columns_are_shown_when_listed(chat):
    header = chat.kubectl("get", "msvc", "crd-test").splitlines()[0].split()
    wide = chat.kubectl("get", "msvc", "crd-test", "-o", "wide").splitlines()[0].split()

    assert header == ["NAME", "READY", "STATUS", "REPLICAS", "MODEL", "PROFILE", "AGE"]
    assert wide[-2:] == ["URL", "REVISION"]


def test_condition_and_summary_fill_the_columns_when_status_is_written(chat):
    ready = {
        "type": "Ready",
        "status": "False",
        "reason": "InsufficientGPU",
        "message": "no node has a free accelerator",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = {"conditions": [ready], "replicasSummary": "0/1", "profile": "nvidia"}
    chat.kubectl(
        "patch", "msvc", "crd-test", "--subresource=status", "--type=merge", "-p", json.dumps({"status": status})
    )

    row = chat.kubectl("get", "msvc", "crd-test").splitlines()[1].split()
    assert row[:6] == ["crd-test", "False", "InsufficientGPU", "0/1", "hf://org/name", "nvidia"]


def test_scale_writes_replicas_when_none_were_given(chat):
    chat.kubectl("scale", "msvc", "crd-test", "--replicas=3")

    assert chat.kubectl("get", "msvc", "crd-test", "-o", "jsonpath={.spec.replicas}") == "3"


def test_scale_is_refused_when_an_autoscaler_owns_replicas(chat):
    chat.kubectl(
        "patch", "msvc", "crd-test", "--type=merge", "-p", json.dumps({"spec": {"autoscaling": {"maxReplicas": 2}}})
    )

    with pytest.raises(ClusterError) as refusal:
        chat.kubectl("scale", "msvc", "crd-test", "--replicas=3")
    assert "remove spec.replicas or spec.autoscaling" in str(refusal.value)


def test_model_uri_can_change_when_the_object_exists(chat):
    chat.kubectl(
        "patch", "msvc", "crd-test", "--type=merge", "-p", json.dumps({"spec": {"model": {"uri": "pvc://a/b"}}})
    )

    assert chat.kubectl("get", "msvc", "crd-test", "-o", "jsonpath={.spec.model.uri}") == "pvc://a/b"


def test_simulated_cannot_change_when_the_profile_exists(served):
    manifest = profile(accelerator={}) | {"metadata": {"name": "crd-test"}}
    served.kubectl("create", "-f", "-", input=json.dumps(manifest))
    try:
        with pytest.raises(ClusterError) as refusal:
            served.kubectl(
                "patch", "runtimeprofile", "crd-test", "--type=merge", "-p", json.dumps({"spec": {"simulated": True}})
            )
        assert "spec.simulated" in str(refusal.value)
        assert "create another RuntimeProfile" in str(refusal.value)
    finally:
        served.kubectl("delete", "runtimeprofile", "crd-test")
