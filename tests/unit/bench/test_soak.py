"""The soak's verdict on memory, and what it takes for right."""

import random

from tests.soak.operator.churn import Churn
from tests.soak.operator.memory import Memory
from tests.support.team import Team


def test_growth_is_that_of_the_largest_process_between_warm_and_the_end() -> None:
    memory = Memory()
    for second in range(0, 601, 10):
        memory.note(second, 1, 50.0)
        memory.note(second, 2, 200.0 if second < 100 else 100.0 + second / 100)
    assert memory.highest == 200.0
    assert 101 <= memory.warm <= 102
    assert 105 <= memory.last <= 106


def test_children_follow_from_what_was_asked_for_last() -> None:
    churn = Churn(Team(None), 3, random.Random(0), {"soak-1": {"availability": {"minAvailable": 1}}, "soak-2": {}})  # type: ignore[arg-type]
    kinds = {kind for kind, name in churn.children() if name == "soak-1"}
    assert kinds == {"ServiceAccount", "Deployment", "Service", "PodDisruptionBudget"}
    assert len(churn.children()) == 7
