"""Names, kinds and reasons."""

import pytest

from modelservice_operator.api import names
from modelservice_operator.api.kinds import BY_KIND, CHILD_KINDS
from modelservice_operator.api.reasons import DETAILS, ConditionType, Reason, default_hint


@pytest.mark.parametrize("kind", [child.kind for child in CHILD_KINDS])
def test_child_name_fits_when_the_service_has_the_longest_name(kind):
    assert len(names.child_name(kind, "a" * names.NAME_MAX_LENGTH)) <= names.CHILD_NAME_MAX_LENGTH


def test_selector_is_part_of_the_labels_when_children_are_labelled():
    assert names.selector_labels("chat").items() <= names.child_labels("chat").items()
    assert names.selector_string("chat") == "modelservice.dev/name=chat"


@pytest.mark.parametrize(
    ("kind", "path"),
    [("Service", "/api/v1/namespaces/ns/services/x"), ("Deployment", "/apis/apps/v1/namespaces/ns/deployments/x")],
)
def test_path_has_the_group_when_the_kind_has_one(kind, path):
    assert BY_KIND[kind].path("ns", "x") == path


def test_url_leaves_out_the_port_when_it_is_the_usual_one():
    assert names.service_url("chat", "team") == "http://chat.team.svc"
    assert names.service_url("chat", "team", 8080) == "http://chat.team.svc:8080"


def test_every_reason_is_described_when_documented():
    assert set(DETAILS) == set(Reason)
    assert all(detail.description.endswith(".") for detail in DETAILS.values())
    assert all(word.value.isalnum() and word.value[0].isupper() for word in (*Reason, *ConditionType))


def test_hint_is_empty_when_the_reason_is_unknown_or_good():
    assert default_hint("SomethingNew") == ""
    assert default_hint(Reason.READY) == ""
    assert "secretRef" in default_hint(Reason.MODEL_AUTH_FAILED)
