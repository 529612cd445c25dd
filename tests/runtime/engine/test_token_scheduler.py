from collections.abc import Sequence
from typing import Any

from modelservice_runtime.engine.intake import Intake, QueueLimits
from modelservice_runtime.engine.scheduling import Cancelled, Done, Failed, Outbox, Ticket
from modelservice_runtime.engine.token_scheduler import BatchLimits, TokenBudgetScheduler, choose_batch
from tests.runtime.engine.doubles import ImmediateLoop, RememberingMeter

LIMITS = BatchLimits(100, 8)


def make_scheduler(run: Any, limits: BatchLimits = LIMITS) -> TokenBudgetScheduler:
    intake = Intake(QueueLimits(100, 10_000, 60), lambda: None)
    outbox = Outbox(ImmediateLoop())  # type: ignore[arg-type]
    return TokenBudgetScheduler(run, lambda error: False, intake, outbox, RememberingMeter(), limits)


def outcome(ticket: Ticket) -> Any:
    event = ticket._events.get_nowait()
    return event.value if isinstance(event, Done) else event


def test_oldest_is_always_chosen_when_it_is_the_longest() -> None:
    assert choose_batch([500, 10, 10], BatchLimits(100, 8)) == [0]


def test_similar_lengths_are_chosen_when_the_budget_is_short() -> None:
    assert sorted(choose_batch([10, 90, 11, 9, 80, 10], BatchLimits(45, 8))) == [0, 2, 3, 5]


def test_batch_is_bounded_in_rows_when_items_are_short() -> None:
    assert len(choose_batch([1] * 50, BatchLimits(1000, 8))) == 8


def test_each_item_gets_its_own_result_when_batched() -> None:
    sizes: list[int] = []

    def run(batch: Sequence[int]) -> list[int]:
        sizes.append(len(batch))
        return [2 * item for item in batch]

    scheduler = make_scheduler(run)
    tickets = [scheduler.submit(item, 10) for item in range(12)]
    while scheduler.step():
        pass
    assert [outcome(ticket) for ticket in tickets] == [2 * item for item in range(12)]
    assert sizes == [8, 4]


def test_only_the_culprit_fails_when_a_batch_raises() -> None:
    def run(batch: Sequence[int]) -> list[int]:
        if 3 in batch:
            raise ValueError("three")
        return list(batch)

    scheduler = make_scheduler(run)
    tickets = [scheduler.submit(item, 10) for item in range(5)]
    scheduler.step()
    outcomes = [outcome(ticket) for ticket in tickets]
    assert isinstance(outcomes[3], Failed)
    assert [value for value in outcomes if not isinstance(value, Failed)] == [0, 1, 2, 4]


def test_waiting_item_is_dropped_when_cancelled() -> None:
    seen: list[Any] = []

    def run(batch: Sequence[str]) -> list[str]:
        seen.extend(batch)
        return list(batch)

    scheduler = make_scheduler(run)
    kept, dropped = scheduler.submit("kept", 5), scheduler.submit("dropped", 5)
    scheduler.cancel(dropped, "disconnect")
    scheduler.step()
    assert seen == ["kept"]
    failure = outcome(dropped)
    assert isinstance(failure, Failed)
    assert isinstance(failure.error, Cancelled)
    assert outcome(kept) == "kept"
