"""Recorded situations of a real node, judged again: the same conditions for the same reasons."""

import re
from pathlib import Path

import pytest

from modelservice_operator.api.reasons import Reason
from tests.support.situations import Situation, read_all

SITUATIONS = read_all()
REAL = ("e2e", "apiserver", "faults")
"""Folders of tests that run on a real API server or a real node."""


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_conditions_are_those_that_were_told_when_the_situation_was_recorded(situation: Situation) -> None:
    assert situation.judge() == [list(entry) for entry in situation.conditions]


def test_ready_is_true_in_the_recording_that_serves_and_in_no_other() -> None:
    assert [each.name for each in SITUATIONS if ["Ready", "True", "Ready"] in each.conditions] == ["serves"]


def test_every_reason_was_recorded_or_is_made_on_a_real_api_server() -> None:
    tests = Path(__file__).parents[2]
    words = {
        word for name in REAL for file in (tests / name).glob("*.py") for word in re.findall(r"\w+", file.read_text())
    }
    recorded = {reason for each in SITUATIONS for reason in each.reasons}
    assert {str(reason) for reason in Reason} - recorded - words == {Reason.TEMPLATE_ERROR}, "a defect of ours alone"
