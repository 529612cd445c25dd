"""Which warning events are about a ModelService."""

from typing import Any

import pytest

from modelservice_operator.cli.events import select_warnings

OBJECTS = [("Deployment", "chat"), ("Pod", "chat-6d9f-abcde")]


def _event(kind: str, name: str, message: str = "said", **more: Any) -> dict[str, Any]:
    about = {"kind": kind, "name": name}
    return {"type": "Warning", "reason": "Failed", "message": message, "involvedObject": about, **more}


@pytest.mark.parametrize(
    ("kind", "name", "is_ours"),
    [
        ("Pod", "chat-6d9f-abcde", True),
        ("Pod", "chat-two-abcde", False),
        ("Deployment", "chat", True),
        ("ReplicaSet", "chat-6d9f", True),
        ("ReplicaSet", "chat-two-6d9f", False),
        ("ReplicaSet", "chat", False),
    ],
)
def test_warning_is_selected_when_it_is_about_an_object_of_the_service(kind: str, name: str, is_ours: bool) -> None:
    assert bool(select_warnings([_event(kind, name)], OBJECTS)) is is_ours


def test_normal_event_is_left_out() -> None:
    assert select_warnings([{**_event("Deployment", "chat"), "type": "Normal"}], OBJECTS) == ()


def test_same_words_are_told_once_with_their_count_and_their_last_time() -> None:
    events = [
        _event("Deployment", "chat", count=3, lastTimestamp="2026-01-31T08:00:00Z"),
        _event("Deployment", "chat", eventTime="2026-01-31T09:00:00Z", series={"count": 4}),
    ]
    (found,) = select_warnings(events, OBJECTS)
    assert (found.object, found.count, found.time) == ("Deployment chat", 7, "2026-01-31T09:00:00Z")


def test_newest_warning_comes_first() -> None:
    events = [
        _event("Deployment", "chat", f"at {hour}", lastTimestamp=f"2026-01-31T0{hour}:00:00Z") for hour in (1, 3, 2)
    ]
    assert [found.message for found in select_warnings(events, OBJECTS)] == ["at 3", "at 2", "at 1"]
