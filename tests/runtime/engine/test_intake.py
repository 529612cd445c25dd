import pytest

from modelservice_runtime.engine.intake import Intake, QueueLimits
from modelservice_runtime.engine.scheduling import Draining, QueueFull


def make_intake(requests: int = 3, tokens: int = 100, seconds: float = 60.0) -> Intake:
    return Intake(QueueLimits(requests, tokens, seconds), lambda: None)


def test_submit_is_refused_when_too_many_requests_wait() -> None:
    intake = make_intake(requests=2)
    intake.submit("a", 1)
    intake.submit("b", 1)
    with pytest.raises(QueueFull) as refusal:
        intake.submit("c", 1)
    assert refusal.value.reason == "queue_full"
    assert intake.size == 2


def test_submit_is_refused_when_too_many_tokens_wait() -> None:
    intake = make_intake(tokens=100)
    intake.submit("a", 90)
    with pytest.raises(QueueFull) as refusal:
        intake.submit("b", 11)
    assert refusal.value.reason == "token_budget"


def test_large_request_is_taken_when_nothing_waits() -> None:
    assert make_intake(tokens=100).submit("a", 5000).cost == 5000


def test_submit_is_refused_when_closed() -> None:
    intake = make_intake()
    intake.close()
    with pytest.raises(Draining):
        intake.submit("a", 1)


def test_sweep_returns_cancelled_and_expired_tickets() -> None:
    intake = make_intake(seconds=60)
    kept, cancelled, expired = intake.submit("a", 1), intake.submit("b", 2), intake.submit("c", 4)
    intake.cancel(cancelled, "disconnect")
    expired.submitted_at -= 61
    assert [(ticket.item, ticket.cancel_reason) for ticket in intake.sweep()] == [
        ("b", "disconnect"),
        ("c", "queue_timeout"),
    ]
    assert intake.everything() == [kept]
    assert intake.tokens == 1


def test_preempted_ticket_comes_first_when_put_back() -> None:
    intake = make_intake()
    first, second = intake.submit("a", 1), intake.submit("b", 1)
    intake.take([first])
    intake.put_back(first)
    assert intake.peek(2) == [first, second]


def test_items_of_a_large_request_take_turns_with_later_requests() -> None:
    intake = make_intake(requests=100)
    for turn in range(5):
        intake.submit(f"large {turn}", 1, turn=turn)
    intake.take(intake.peek(1))
    for name in ("a", "b"):
        intake.submit(name, 1)
    order = [ticket.item for ticket in intake.everything()]
    assert order == ["large 1", "a", "large 2", "b", "large 3", "large 4"]


def test_last_item_of_a_large_request_is_not_overtaken_for_ever() -> None:
    intake = make_intake(requests=100)
    for turn in range(4):
        intake.submit(f"large {turn}", 1, turn=turn)
    taken = []
    for number in range(8):
        intake.submit(f"small {number}", 1)
        (first,) = intake.peek(1)
        intake.take([first])
        taken.append(first.item)
    assert [item for item in taken if item.startswith("large")] == [f"large {turn}" for turn in range(4)]


def test_preempted_tickets_stay_first_when_others_are_submitted() -> None:
    intake = make_intake(requests=10)
    tickets = [intake.submit(name, 1) for name in "abc"]
    intake.take(tickets[:2])
    intake.put_back(tickets[1])
    intake.put_back(tickets[0])
    late = intake.submit("d", 1)
    assert intake.everything() == [*tickets, late]


@pytest.mark.parametrize("waiting", [(1, 1), (100,)])
def test_room_is_denied_when_not_even_the_smallest_item_would_be_taken(waiting: tuple[int, ...]) -> None:
    intake = make_intake(requests=2, tokens=100)
    intake.check_room()
    for cost in waiting:
        intake.submit("a", cost)
    with pytest.raises(QueueFull):
        intake.check_room()
    assert intake.size == len(waiting)


def test_room_is_denied_when_closed() -> None:
    intake = make_intake()
    intake.close()
    with pytest.raises(Draining):
        intake.check_room()
