import pytest

from modelservice_runtime.engine.generation import Generation, Sequence
from modelservice_runtime.engine.prefill import LEAST_TOKENS, SHARE, Group, PrefillPace
from modelservice_runtime.engine.sampling import Sampling
from modelservice_runtime.engine.scheduling import Ticket
from tests.runtime.engine.doubles import Silent

pytestmark = pytest.mark.torch


def make_sequence(length: int) -> Sequence:
    return Sequence.of(Ticket(Generation([1] * length, 4, Sampling(), frozenset(), Silent()), length))


def settle(pace: PrefillPace, decode_seconds: float, token_seconds: float, pass_seconds: float = 0.0) -> int:
    """Return the budget after many steps on a device where a pass takes a fixed time and one for each token."""
    for _ in range(60):
        pace.decoded(decode_seconds)
        tokens = pace.budget(8, 0)
        pace.filled(tokens, pass_seconds + tokens * token_seconds)
    return pace.budget(8, 0)


@pytest.mark.parametrize(
    ("decode_seconds", "expected"), [(0.05, SHARE * 50), (0.2, SHARE * 200), (0.001, LEAST_TOKENS), (9.0, 512)]
)
def test_prefill_takes_its_share_of_the_time_of_a_decode_step_when_sequences_are_decoded(
    decode_seconds: float, expected: float
) -> None:
    assert settle(PrefillPace(512), decode_seconds, 0.001) == pytest.approx(expected, rel=0.1)


def test_budget_allows_for_what_every_pass_costs_when_it_settles() -> None:
    assert settle(PrefillPace(512), 0.05, 0.001, pass_seconds=0.02) == pytest.approx(SHARE * 50 - 20, rel=0.15)


def test_budget_follows_when_the_batch_grows_and_shrinks() -> None:
    pace = PrefillPace(512)
    small = settle(pace, 0.03, 0.001)
    large = settle(pace, 0.12, 0.001)
    assert (small, large, settle(pace, 0.03, 0.001)) == pytest.approx(
        tuple(SHARE * tokens for tokens in (30, 120, 30)), rel=0.1
    )


def test_prompts_go_as_fast_as_they_can_when_nothing_is_decoded() -> None:
    pace = PrefillPace(512)
    settle(pace, 0.02, 0.001)
    assert pace.budget(0, 5) == 512


@pytest.mark.parametrize(("waiting", "times"), [(0, 1), (4, 1.5), (8, 2), (24, 4)])
def test_budget_grows_with_the_prompts_that_wait_for_each_sequence_that_is_delayed(waiting: int, times: float) -> None:
    pace = PrefillPace(512)
    calm = settle(pace, 0.05, 0.001)
    assert abs(pace.budget(8, waiting) - times * calm) <= times
    assert pace.budget(8, 10**6) == 512


def test_one_slow_pass_halves_the_budget_at_most() -> None:
    pace = PrefillPace(512)
    before = settle(pace, 0.1, 0.001)
    pace.filled(before, 30.0)
    assert pace.budget(8, 0) >= before // 2


def test_quick_pass_over_few_tokens_leaves_the_budget_alone() -> None:
    pace = PrefillPace(512)
    before = settle(pace, 0.1, 0.001)
    pace.filled(4, 0.01)
    assert pace.budget(8, 0) == before


def steps_until_the_next_pass(pace: PrefillPace, decode_seconds: float, decoding: int, waiting: int) -> int:
    steps = 0
    while pace.budget(decoding, waiting) == 0:
        pace.decoded(decode_seconds)
        steps += 1
    return steps


@pytest.mark.parametrize(("decoding", "waiting"), [(4, 0), (4, 4), (1, 7), (7, 1)])
def test_pass_that_cannot_be_divided_is_paid_off_by_the_decode_steps_after_it(decoding: int, waiting: int) -> None:
    pace = PrefillPace(512)
    settle(pace, 0.02, 0.001)
    assert pace.budget(decoding, waiting) > 0
    pace.encoded(0.9)
    share = SHARE * 0.02 * (1 + waiting / decoding)
    assert steps_until_the_next_pass(pace, 0.02, decoding, waiting) == pytest.approx(0.9 / share, abs=1.01)


def test_several_short_sources_are_taken_in_before_a_step_when_they_take_less_than_their_share() -> None:
    pace = PrefillPace(512)
    settle(pace, 0.1, 0.001)
    assert pace.budget(4, 4) > 0
    for expected in (False, False, True):
        pace.encoded(SHARE * 0.1 * 0.7)
        assert pace.in_debt is expected


def test_debt_is_forgiven_when_nobody_is_left_whom_it_delays() -> None:
    pace = PrefillPace(512)
    pace.decoded(0.02)
    pace.encoded(60.0)
    assert (pace.budget(1, 3), pace.budget(0, 3), pace.budget(1, 3) > 0) == (0, 512, True)


def test_short_prompts_share_a_pass_until_the_budget_is_spent() -> None:
    group = Group(rows=8, budget=64)
    lengths = [24, 20, 24, 24]
    assert [group.take(make_sequence(length)) for length in lengths] == [True, True, True, False]
    assert [len(chunk.tokens) for chunk in group.chunks] == [24, 20, 20]
    assert [chunk.is_last for chunk in group.chunks] == [True, True, False]


def test_prompt_waits_for_the_next_pass_when_it_would_pad_the_others_too_much() -> None:
    group = Group(rows=8, budget=512)
    assert [group.take(make_sequence(length)) for length in (10, 12, 300)] == [True, True, False]
    assert group.padded == 24


def test_scrap_of_a_prompt_does_not_join_a_group() -> None:
    group = Group(rows=8, budget=30)
    assert [group.take(make_sequence(length)) for length in (25, 25)] == [True, False]
