from collections.abc import Sequence
from typing import Any

import pytest

from modelservice_runtime.engine.generation import Completion, Generation
from modelservice_runtime.engine.intake import Intake, QueueLimits
from modelservice_runtime.engine.prefix_cache import BLOCK, PrefixIndex
from modelservice_runtime.engine.sampling import Sampling
from modelservice_runtime.engine.scheduling import Done, Failed, Outbox, PrefixCounts, Ticket
from modelservice_runtime.engine.slot_scheduler import SlotScheduler
from tests.runtime.engine.doubles import CountingRunner, ImmediateLoop, RememberingMeter, Silent, TokenStore

pytestmark = pytest.mark.torch
SYSTEM = list(range(200, 200 + 5 * BLOCK))


class Bench:
    """A scheduler that keeps beginnings of prompts, over rows whose content is checked after every step."""

    def __init__(self, blocks: int = 32, prefill_tokens: int = 256, **rows: Any) -> None:
        self.runner = CountingRunner(**{"max_length": 256, "group_rows": 4, **rows})
        self.store = self.runner.prefixes = TokenStore(self.runner, blocks)
        self.meter = RememberingMeter()
        ends = Intake(QueueLimits(100, 100_000, 60), lambda: None), Outbox(ImmediateLoop()), self.meter  # type: ignore[arg-type]
        self.scheduler = SlotScheduler(self.runner, *ends, prefill_tokens)

    def submit(self, prompt: Sequence[int], new: int = 3, caller: str = "", source: Any = None) -> Ticket:
        generation = Generation(list(prompt), new, Sampling(), frozenset(), Silent(), source=source)
        return self.scheduler.submit(generation, len(prompt), caller)

    def run(self, steps: int = 1000) -> None:
        for _ in range(steps):
            busy = self.scheduler.step()
            for row, sequence in enumerate(self.scheduler._running()):
                self.runner.check(row, sequence.tokens[: sequence.computed])
            if not busy:
                return

    def answer(self, prompt: Sequence[int], **what: Any) -> Completion:
        ticket = self.submit(prompt, **what)
        self.run()
        return completion_of(ticket)

    def computed(self) -> list[int]:
        """Return how many tokens each prefill has computed."""
        return [arguments[2] for arguments in self.meter.of("batch") if arguments[0] == "prefill"]


def completion_of(ticket: Ticket) -> Completion:
    event = None
    while not ticket._events.empty():
        event = ticket._events.get_nowait()
    assert isinstance(event, Done)
    completion: Completion = event.value
    return completion


def test_only_the_end_of_a_prompt_is_computed_when_its_beginning_is_known() -> None:
    bench = Bench()
    assert bench.answer([*SYSTEM, 10, 11]).cached_tokens == 0
    second = bench.answer([*SYSTEM, 50, 51, 52])
    assert (second.cached_tokens, second.tokens) == (len(SYSTEM), (53, 54, 55))
    assert bench.computed() == [len(SYSTEM) + 2, 3]
    assert bench.scheduler.stats().prefixes == PrefixCounts(2 * len(SYSTEM) + 5, len(SYSTEM))
    assert ("prompt_cached", len(SYSTEM)) in bench.meter.of("tokens")


def test_last_token_is_computed_when_the_whole_prompt_is_known() -> None:
    bench = Bench()
    bench.answer(SYSTEM)
    again = bench.answer(SYSTEM)
    assert (again.cached_tokens, again.tokens) == (len(SYSTEM) - BLOCK, (280, 281, 282))


def test_whole_blocks_are_found_when_prompts_part_within_one() -> None:
    bench = Bench()
    bench.answer(SYSTEM)
    other = [*SYSTEM[: 3 * BLOCK + 5], 600, 601]
    assert bench.answer(other).cached_tokens == 3 * BLOCK
    assert bench.answer([*SYSTEM[:BLOCK], 700, 701]).cached_tokens == 0  # not worth it


def test_short_prompts_are_not_kept() -> None:
    bench = Bench()
    for _ in range(2):
        assert bench.answer(SYSTEM[: 3 * BLOCK]).cached_tokens == 0
    assert not bench.store.kept


def test_prompts_that_come_at_once_are_computed_once() -> None:
    bench = Bench(max_rows=8)
    tickets = [bench.submit([*SYSTEM, 10 * i, 10 * i + 1]) for i in range(1, 6)]
    bench.run()
    answers = [completion_of(ticket) for ticket in tickets]
    assert [answer.cached_tokens for answer in answers] == [0, *[len(SYSTEM)] * 4]
    assert [answer.tokens[0] for answer in answers] == [10 * i + 2 for i in range(1, 6)]
    assert bench.computed() == [len(SYSTEM) + 2, 8]


def test_others_compute_by_themselves_when_the_prompt_that_they_wait_for_is_cancelled() -> None:
    bench = Bench(prefill_tokens=32)
    first, second = bench.submit([*SYSTEM, 10]), bench.submit([*SYSTEM, 20])
    bench.run(1)
    assert bench.scheduler.stats().running == 1
    bench.scheduler.cancel(first, "disconnect")
    bench.run()
    answer = completion_of(second)
    assert (answer.cached_tokens, answer.tokens) == (0, (21, 22, 23))


def test_least_recently_used_goes_first_when_the_store_is_full() -> None:
    bench = Bench(blocks=10)
    prompts = [list(range(first, first + 5 * BLOCK)) for first in (100, 300, 500)]
    for prompt in (prompts[0], prompts[1], prompts[0], prompts[2]):
        bench.answer([*prompt, 900])
    assert bench.answer([*prompts[0], 901]).cached_tokens == 5 * BLOCK
    assert bench.answer([*prompts[1], 901]).cached_tokens == 0


@pytest.mark.parametrize("blocks", [1, 4, 7, 13])
def test_rows_hold_what_they_should_when_much_is_kept_in_little_room(blocks: int) -> None:
    bench = Bench(blocks=blocks, max_rows=3, prefill_tokens=48)
    prompts = [[*SYSTEM[: (3 + i % 4) * BLOCK], *range(300 * (i % 3), 300 * (i % 3) + 40 + i)] for i in range(20)]
    tickets = [bench.submit(prompt, new=2 + i % 5) for i, prompt in enumerate(prompts)]
    bench.run(9)
    bench.scheduler.cancel(tickets[2], "disconnect")
    bench.run()
    for i, (prompt, ticket) in enumerate(zip(prompts, tickets, strict=True)):
        if i != 2:
            assert completion_of(ticket).tokens == tuple(range(prompt[-1] + 1, prompt[-1] + 3 + i % 5))
    assert len(bench.store.kept) <= blocks


def test_callers_and_adapters_share_nothing_and_pictures_are_never_kept() -> None:
    bench = Bench()
    bench.answer(SYSTEM, caller="alice", source="poet")
    found = [
        bench.answer(SYSTEM, caller=caller, source=source).cached_tokens > 0
        for caller, source in (("bob", "poet"), ("alice", "clerk"), ("alice", None), ("", "poet"), ("alice", "poet"))
    ]
    assert found == [False, False, False, False, True]
    kept = len(bench.store.kept)
    for _ in range(2):
        assert bench.answer([*SYSTEM, 1], source=("a", "picture")).cached_tokens == 0
    assert len(bench.store.kept) == kept


def test_prompt_that_is_known_takes_one_step_beside_others() -> None:
    """The budget of a step counts what is computed, so a long prompt with a short end delays nobody."""
    bench = Bench(prefill_tokens=32)
    bench.answer([*SYSTEM, 10])
    running = bench.submit([900], new=40)
    bench.run(2)
    late = bench.submit([*SYSTEM, 20, 21], new=2)
    bench.run(2)
    assert completion_of(late).tokens == (22, 23)
    bench.run()
    assert completion_of(running).tokens == tuple(range(901, 941))


def test_preempted_sequence_finds_its_own_prompt_again() -> None:
    bench = Bench(budget=2 * (len(SYSTEM) + 12))
    tickets = [bench.submit([*SYSTEM, first], new=30) for first in (10, 500)]
    bench.run()
    assert [completion_of(ticket).tokens[-1] for ticket in tickets] == [40, 530]
    assert sum(bench.computed()) < 2 * len(SYSTEM)
    assert bench.scheduler.stats().prefixes == PrefixCounts(2 * len(SYSTEM) + 2, len(SYSTEM))


def test_nothing_is_taken_for_known_when_keeping_it_failed() -> None:
    bench = Bench()
    bench.store.fail_next = MemoryError("no room")
    unlucky = bench.submit(SYSTEM)
    with pytest.raises(MemoryError):
        bench.run()
    assert isinstance(unlucky._events.get_nowait(), Failed)
    assert bench.answer(SYSTEM).cached_tokens == 0
    assert bench.answer(SYSTEM).cached_tokens > 0


def test_index_gives_up_what_follows_before_what_it_follows() -> None:
    index = PrefixIndex(6)
    index.add("a", SYSTEM[: 4 * BLOCK])
    index.add("a", [*SYSTEM[: 2 * BLOCK], *range(2 * BLOCK)])
    assert len(index.find("a", SYSTEM)) == 4
    index.add("a", range(900, 900 + 2 * BLOCK))
    assert len(index.find("a", SYSTEM)) == 4
    assert len(index.find("a", [*SYSTEM[: 2 * BLOCK], *range(2 * BLOCK)])) == 2
    first, places = index.add("a", range(500, 500 + 9 * BLOCK))
    assert (first, sorted(places)) == (0, [0, 1, 2, 3, 4, 5])
    assert index.find("a", SYSTEM) == []
