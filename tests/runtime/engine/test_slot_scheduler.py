from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from modelservice_runtime.engine.generation import Generation
from modelservice_runtime.engine.intake import Intake, QueueLimits
from modelservice_runtime.engine.sampling import Sampling
from modelservice_runtime.engine.scheduling import Cancelled, Done, Failed, ForwardFailed, Outbox, Ticket
from modelservice_runtime.engine.slot_scheduler import SlotScheduler
from tests.runtime.engine.doubles import CountingRunner, ImmediateLoop, RememberingMeter, Silent

pytestmark = pytest.mark.torch


class Bench:
    """A scheduler around a scripted model."""

    def __init__(self, runner: CountingRunner | None = None, prefill_tokens: int = 16) -> None:
        self.runner = runner or CountingRunner()
        self.meter = RememberingMeter()
        intake = Intake(QueueLimits(100, 10_000, 60), lambda: None)
        outbox = Outbox(ImmediateLoop())  # type: ignore[arg-type]
        self.scheduler = SlotScheduler(self.runner, intake, outbox, self.meter, prefill_tokens)

    def submit(self, first: int, length: int, new: int, end_ids: frozenset[int] = frozenset()) -> Ticket:
        prompt = list(range(first, first + length))
        return self.scheduler.submit(Generation(prompt, new, Sampling(), end_ids, Silent()), length)

    def run(self, steps: int = 1000) -> None:
        for _ in range(steps):
            if not self.scheduler.step():
                return


def last_event(ticket: Ticket) -> Any:
    event = None
    while not ticket._events.empty():
        event = ticket._events.get_nowait()
    return event


def tokens_of(ticket: Ticket) -> tuple[int, ...]:
    event = last_event(ticket)
    assert isinstance(event, Done)
    tokens: tuple[int, ...] = event.value.tokens
    return tokens


def test_every_sequence_gets_its_own_continuation_when_lengths_differ() -> None:
    bench = Bench()
    tickets = [bench.submit(100 * i, 3 + 5 * i, 4 + 3 * i) for i in range(1, 7)]
    bench.run()
    for i, ticket in enumerate(tickets, start=1):
        first = 100 * i + 3 + 5 * i
        assert tokens_of(ticket) == tuple(range(first, first + 4 + 3 * i))
    assert max(bench.runner.batches) == 4
    assert bench.scheduler.stats().running == 0


def test_sequence_ends_when_an_end_token_is_made() -> None:
    bench = Bench()
    ticket = bench.submit(10, 3, 50, frozenset({15}))
    bench.run()
    event = last_event(ticket)
    assert event.value.reason == "stop"
    assert event.value.tokens == (13, 14, 15)


def test_sequence_ends_with_length_when_the_context_is_full() -> None:
    bench = Bench(CountingRunner(max_length=10))
    ticket = bench.submit(1, 6, 50)
    bench.run()
    event = last_event(ticket)
    assert (event.value.reason, len(event.value.tokens)) == ("length", 4)


def test_cancelled_sequence_leaves_within_one_step_and_the_others_go_on() -> None:
    bench = Bench()
    doomed, other = bench.submit(1, 4, 40), bench.submit(100, 4, 10)
    bench.run(3)
    bench.scheduler.cancel(doomed, "disconnect")
    bench.run(1)
    event = last_event(doomed)
    assert isinstance(event, Failed)
    assert isinstance(event.error, Cancelled)
    assert bench.scheduler.stats().running == 1
    bench.run()
    assert tokens_of(other) == tuple(range(104, 114))
    assert [arguments[0] for arguments in bench.meter.of("cancelled")] == ["disconnect"]


def test_waiting_request_takes_the_slot_when_one_is_cancelled() -> None:
    bench = Bench(CountingRunner(max_rows=1))
    first, second = bench.submit(1, 4, 40), bench.submit(100, 4, 2)
    bench.run(3)
    assert (bench.scheduler.stats().running, bench.scheduler.stats().queued) == (1, 1)
    bench.scheduler.cancel(first, "disconnect")
    bench.run()
    assert tokens_of(second) == (104, 105)


def test_long_prompt_is_prefilled_in_chunks_while_others_decode() -> None:
    bench = Bench(prefill_tokens=8)
    short = bench.submit(1, 4, 12)
    bench.run(2)
    long = bench.submit(100, 40, 3)
    bench.run(3)
    assert short.started_at is not None
    assert len(bench.runner.memory[0]) > 6
    bench.run()
    assert tokens_of(short) == tuple(range(5, 17))
    assert tokens_of(long) == (140, 141, 142)
    assert max(arguments[2] for arguments in bench.meter.of("batch") if arguments[0] == "prefill") <= 8


def test_youngest_is_recomputed_when_the_cache_is_full() -> None:
    bench = Bench(CountingRunner(budget=40))
    tickets = [bench.submit(100 * i, 8, 20) for i in (1, 2, 3)]
    bench.run()
    for i, ticket in zip((1, 2, 3), tickets, strict=True):
        assert tokens_of(ticket) == tuple(range(100 * i + 8, 100 * i + 28))
    assert len([1 for arguments in bench.meter.of("batch") if arguments[0] == "prefill"]) > 3
    assert len(bench.meter.of("first_token")) == 3


def test_only_the_running_fail_when_the_model_raises() -> None:
    bench = Bench(CountingRunner(max_rows=1))
    running, waiting = bench.submit(1, 4, 40), bench.submit(100, 4, 2)
    bench.run(2)
    bench.runner.fail_next = ValueError("broken")
    bench.run()
    event = last_event(running)
    assert isinstance(event, Failed)
    assert isinstance(event.error, ForwardFailed)
    assert tokens_of(waiting) == (104, 105)


def test_step_raises_when_the_device_is_beyond_use() -> None:
    bench = Bench()
    bench.submit(1, 4, 4)
    bench.runner.fail_next = MemoryError("gone")
    with pytest.raises(MemoryError):
        bench.scheduler.step()


async def test_drain_cancels_what_is_left_when_time_runs_out() -> None:
    bench = Bench()
    ticket = bench.submit(1, 4, 60)
    bench.run(2)
    assert await bench.scheduler.drain(0.05) is False
    bench.run(1)
    event = last_event(ticket)
    assert isinstance(event, Failed)
    assert isinstance(event.error, Cancelled)
    assert event.error.reason == "drain"


def test_source_is_taken_in_before_the_first_prefill_and_moves_with_its_row() -> None:
    bench = Bench()
    short = bench.scheduler.submit(Generation([100], 2, Sampling(), frozenset(), Silent(), source="ab"), 1)
    long = bench.scheduler.submit(Generation([200], 9, Sampling(), frozenset(), Silent(), source="cde"), 1)
    bench.run()
    assert (tokens_of(short), tokens_of(long)) == ((101, 102), tuple(range(201, 210)))
    assert bench.runner.sources[0] == "cde"


class SlowEncoder(CountingRunner):
    """A model that takes 25 times as long to take a source in as to decode, on a clock of its own."""

    now = 1.0

    def begin(self, row: int, source: Any) -> int:
        self.now += 0.5
        return super().begin(row, source)

    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> Any:
        self.now += 0.02
        return super().decode(tokens, positions)


def test_first_answer_is_complete_before_the_last_source_is_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = SlowEncoder(max_rows=8)
    clock = SimpleNamespace(monotonic=lambda: runner.now)
    monkeypatch.setattr("modelservice_runtime.engine.slot_scheduler.time", clock)
    bench = Bench(runner)
    tickets = [
        bench.scheduler.submit(Generation([100 * n], 12, Sampling(), frozenset(), Silent(), source="x" * 1500), 1)
        for n in range(1, 9)
    ]
    while tickets[0]._events.empty():
        bench.run(1)
    assert bench.scheduler.stats().queued >= 4
    bench.run()
    assert [tokens_of(each) for each in tickets] == [tuple(range(100 * n + 1, 100 * n + 13)) for n in range(1, 9)]
    assert max(bench.runner.batches) > 1


def test_chain_of_generations_is_one_answer_when_each_names_the_next() -> None:
    bench = Bench()
    parts = iter([Generation([300], 2, Sampling(), frozenset(), Silent()), None])
    first = Generation([100], 3, Sampling(), frozenset(), Silent(), follow=lambda: next(parts))
    chained, other = bench.scheduler.submit(first, 1), bench.submit(500, 3, 20)
    bench.run()
    assert tokens_of(chained) == (301, 302)
    assert len(tokens_of(other)) == 20
    assert len(bench.meter.of("first_token")) == 2


def test_client_alone_is_told_when_its_answer_cannot_be_completed() -> None:
    class Broken(Silent):
        def finish(self) -> str:
            raise ValueError("nonsense")

    bench = Bench()
    culprit = bench.scheduler.submit(Generation([100], 2, Sampling(), frozenset(), Broken()), 1)
    other = bench.submit(500, 3, 6)
    bench.run()
    event = last_event(culprit)
    assert isinstance(event, Failed)
    assert isinstance(event.error, ForwardFailed)
    assert len(tokens_of(other)) == 6


def test_rules_change_what_is_chosen_in_their_row_only() -> None:
    class NoTens:
        def apply(self, tokens: Any, logits: Any) -> Any:
            return logits.roll(1) if (tokens[-1] + 1) % 10 == 0 else logits

    bench = Bench()
    ruled = bench.scheduler.submit(Generation([108], 2, Sampling(), frozenset(), Silent(), rules=NoTens()), 1)
    free = bench.submit(108, 1, 2)
    bench.run()
    assert tokens_of(free) == (109, 110)
    assert tokens_of(ruled) == (109, 111)


def test_waiting_prompts_share_forward_passes_when_they_are_short() -> None:
    bench = Bench(prefill_tokens=64)
    tickets = [bench.submit(100 * i, 6 + i, 5) for i in range(1, 5)]
    bench.run()
    for i, ticket in enumerate(tickets, start=1):
        assert tokens_of(ticket) == tuple(range(101 * i + 6, 101 * i + 11))
    rows = [arguments[1] for arguments in bench.meter.of("batch") if arguments[0] == "prefill"]
    assert rows == [3, 1]


def test_prompts_are_computed_one_at_a_time_when_the_model_takes_no_groups() -> None:
    bench = Bench(CountingRunner(group_rows=1), prefill_tokens=64)
    tickets = [bench.submit(100 * i, 6, 5) for i in range(1, 5)]
    bench.run()
    assert [tokens_of(ticket)[0] for ticket in tickets] == [106, 206, 306, 406]
    assert all(arguments[1] == 1 for arguments in bench.meter.of("batch") if arguments[0] == "prefill")


def test_rows_stay_in_order_when_sequences_leave_beside_a_half_filled_prompt() -> None:
    bench = Bench(prefill_tokens=16)
    short = [bench.submit(100 * i, 4, 1 + i) for i in (1, 2)]
    bench.run(1)
    long = bench.submit(500, 40, 3)
    bench.run(1)
    late = bench.submit(700, 4, 2)
    bench.scheduler.cancel(short[0], "disconnect")
    bench.run()
    assert tokens_of(short[1]) == (204, 205, 206)
    assert (tokens_of(long), tokens_of(late)) == ((540, 541, 542), (704, 705))
