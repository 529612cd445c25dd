"""How far a ModelService is."""

from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from modelservice_operator.cli.progress import measure
from modelservice_operator.cli.status import as_lines, as_table

NOW = datetime(2026, 1, 31, 8, 1, 0, tzinfo=UTC)


def _service(*conditions: tuple[str, str, str], generation: int = 1, **status: Any) -> dict[str, Any]:
    since = "2026-01-31T08:00:30Z"
    told = [
        {"type": type_, "status": state, "reason": reason, "message": "said", "lastTransitionTime": since}
        for type_, state, reason in conditions
    ]
    metadata = {"namespace": "team", "name": "chat", "generation": generation}
    return {"metadata": metadata, "status": {"observedGeneration": 1, "conditions": told, "phase": "Loading", **status}}


STARTING = (
    ("Ready", "False", "Starting"),
    ("SpecValid", "True", "Accepted"),
    ("ModelAvailable", "True", "Available"),
    ("Scheduled", "True", "Assigned"),
    ("RuntimeReady", "False", "Starting"),
)
GATED = (("Ready", "False", "ModelGated"), ("SpecValid", "True", "Accepted"), ("ModelAvailable", "False", "ModelGated"))
READY = (*((type_, "True", "Good") for type_, *_ in STARTING),)


@pytest.mark.parametrize(
    ("conditions", "steps"),
    [
        (STARTING, "+ spec  + model  + node  > server"),
        (GATED, "+ spec  x model  . node  . server"),
        (READY, "+ spec  + model  + node  + server"),
        ((), ". spec  . model  . node  . server"),
    ],
)
def test_steps_follow_the_conditions(conditions: tuple[tuple[str, str, str], ...], steps: str) -> None:
    assert steps in as_lines(measure(_service(*conditions), NOW))[0]


def test_share_is_that_of_the_last_start_while_it_starts() -> None:
    assert measure(_service(*STARTING, startup={"totalSeconds": 60}), NOW).share == 0.5
    assert measure(_service(*STARTING, startup={"totalSeconds": 10}), NOW).share == 0.99
    assert measure(_service(*STARTING), NOW).share is None
    assert measure(_service(*GATED, startup={"totalSeconds": 60}), NOW).share is None
    assert measure(_service(*READY), NOW).share == 1.0


def test_service_is_not_ready_when_the_operator_has_not_seen_its_spec() -> None:
    progress = measure(_service(*READY, generation=2), NOW)
    assert progress.is_ready is False
    assert "has not looked at this generation" in as_lines(progress)[1]


def test_reason_stands_below_a_service_that_is_not_ready() -> None:
    assert as_lines(measure(_service(*GATED), NOW))[1] == "  ModelGated: said"
    assert len(as_lines(measure(_service(*READY), NOW))) == 1


def test_view_has_a_bar_and_the_reason() -> None:
    console = Console(width=160, record=True, file=None)
    with console.capture() as drawn:
        console.print(as_table([measure(_service(*STARTING, startup={"totalSeconds": 60}), NOW)]))
    assert "● server" in drawn.get()
    assert "━━━━━━╌╌╌╌╌╌ 50 %" in drawn.get()
    assert "Starting: said" in drawn.get()
