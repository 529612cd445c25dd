"""Every row of the validation table, tried against a real API server."""

import pytest

from tests.apiserver.rows import INVALID, NOT_YET, VALID

pytestmark = pytest.mark.control_plane


@pytest.mark.parametrize("row", VALID, ids=lambda row: row.title)
def test_object_is_accepted_when_every_rule_holds(judge, row):
    verdict = judge.create(row.manifest)

    assert verdict.accepted, verdict.message


@pytest.mark.parametrize("row", [*NOT_YET, *INVALID], ids=lambda row: row.title)
def test_refusal_names_field_and_way_out_when_a_rule_is_broken(judge, row):
    verdict = judge.create(row.manifest)

    assert not verdict.accepted
    assert verdict.code in (400, 422)
    assert row.field in verdict.message
    assert row.words in verdict.message
