from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

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


def test_longer_item_joins_a_small_batch_only_while_it_pays() -> None:
    assert sorted(choose_batch([8, 200, 9], BatchLimits(1024, 8))) == [0, 2]
    assert sorted(choose_batch([180, 200, 190], BatchLimits(1024, 8))) == [0, 1, 2]


def test_older_items_are_taken_first_when_lengths_are_equal() -> None:
    assert choose_batch([10] * 9, BatchLimits(40, 8)) == [0, 1, 2, 3]
    assert choose_batch([12, *[10] * 9], BatchLimits(36, 8)) == [0, 1, 2]


@given(st.lists(st.integers(1, 600), min_size=1, max_size=80), st.integers(1, 2000), st.integers(1, 16))
def test_batch_holds_the_oldest_and_stays_inside_its_limits(costs: list[int], tokens: int, rows: int) -> None:
    chosen = choose_batch(costs, BatchLimits(tokens, rows))
    assert chosen[0] == 0
    assert len(set(chosen)) == len(chosen) <= rows
    assert len(chosen) == 1 or len(chosen) * max(costs[index] for index in chosen) <= tokens


@given(st.lists(st.integers(1, 600), min_size=1, max_size=80))
def test_batch_wastes_no_more_than_running_the_oldest_alone_would(costs: list[int]) -> None:
    limits = BatchLimits(1024, 64)
    chosen = choose_batch(costs, limits)
    spent = limits.overhead + len(chosen) * max(costs[index] for index in chosen)
    alone = costs[0] / (limits.overhead + costs[0])
    assert sum(costs[index] for index in chosen) / spent >= alone


@given(st.lists(st.integers(1, 600), min_size=1, max_size=80))
def test_no_item_starves_when_others_keep_coming(arriving: list[int]) -> None:
    waiting = [(-1, 300), *enumerate(arriving)]
    for step in range(len(waiting)):
        oldest = waiting[0]
        chosen = set(choose_batch([cost for _, cost in waiting], BatchLimits(1024, 64)))
        waiting = [each for index, each in enumerate(waiting) if index not in chosen] + [(1000 + step, 10)]
        assert oldest not in waiting


def test_little_is_padded_when_lengths_are_mixed() -> None:
    source = Random(7)
    waiting = [source.randint(8, 256) for _ in range(32)]
    real = padded = 0
    for _ in range(200):
        chosen = choose_batch(waiting, BatchLimits(1024, 64))
        real += sum(waiting[index] for index in chosen)
        padded += len(chosen) * max(waiting[index] for index in chosen)
        kept = [cost for index, cost in enumerate(waiting) if index not in chosen]
        waiting = kept + [source.randint(8, 256) for _ in chosen]
    assert 1 - real / padded <= 0.15


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
