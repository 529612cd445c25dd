from collections.abc import Generator
from typing import Any

import pytest

from modelservice_runtime.engine.intake import Intake, QueueLimits
from modelservice_runtime.engine.piecewise_scheduler import PiecewiseScheduler
from modelservice_runtime.engine.scheduling import Cancelled, Done, Failed, Outbox, Ticket
from tests.runtime.engine.doubles import ImmediateLoop, RememberingMeter


class Pieces:
    """Work of three pieces that keeps a diary; an item called `bad` raises in its second."""

    def __init__(self) -> None:
        self.diary: list[tuple[str, int]] = []

    def begin(self, item: str) -> Generator[None, None, str]:
        for piece in range(3):
            self.diary.append((item, piece))
            if item == "bad" and piece == 1:
                raise ValueError(item)
            yield
        return item.upper()


def make_scheduler(pieces: Pieces, *, fatal: bool = False) -> PiecewiseScheduler:
    intake = Intake(QueueLimits(100, 10_000, 60), lambda: None)
    outbox = Outbox(ImmediateLoop())  # type: ignore[arg-type]
    return PiecewiseScheduler(pieces.begin, lambda error: fatal, intake, outbox, RememberingMeter())


def outcome(ticket: Ticket) -> Any:
    event = ticket._events.get_nowait()
    return event.value if isinstance(event, Done) else event


def test_items_are_done_one_after_the_other_when_several_wait() -> None:
    pieces = Pieces()
    scheduler = make_scheduler(pieces)
    tickets = [scheduler.submit(item, 1) for item in ("a", "b")]
    while scheduler.step():
        pass
    assert [outcome(ticket) for ticket in tickets] == ["A", "B"]
    assert pieces.diary == [(item, piece) for item in ("a", "b") for piece in range(3)]


def test_item_is_dropped_within_one_piece_when_cancelled() -> None:
    pieces = Pieces()
    scheduler = make_scheduler(pieces)
    dropped, kept = scheduler.submit("a", 1), scheduler.submit("b", 1)
    scheduler.step()
    scheduler.cancel(dropped, "disconnect")
    while scheduler.step():
        pass
    assert pieces.diary.count(("a", 1)) == 0
    failure = outcome(dropped)
    assert isinstance(failure, Failed)
    assert isinstance(failure.error, Cancelled)
    assert outcome(kept) == "B"


def test_only_the_culprit_fails_when_a_piece_raises() -> None:
    scheduler = make_scheduler(Pieces())
    bad, good = scheduler.submit("bad", 1), scheduler.submit("good", 1)
    while scheduler.step():
        pass
    assert isinstance(outcome(bad), Failed)
    assert outcome(good) == "GOOD"


def test_thread_is_told_when_the_device_is_broken() -> None:
    scheduler = make_scheduler(Pieces(), fatal=True)
    ticket = scheduler.submit("bad", 1)
    scheduler.step()
    with pytest.raises(ValueError, match="bad"):
        scheduler.step()
    assert isinstance(outcome(ticket), Failed)


async def test_drain_waits_for_what_was_accepted() -> None:
    scheduler = make_scheduler(Pieces())
    ticket = scheduler.submit("a", 1)
    while scheduler.step():
        pass
    assert await scheduler.drain(1.0)
    assert outcome(ticket) == "A"
