"""A pause that the API server asked for lasts as long as it said, for that key alone."""

from modelservice_operator.controller.keys import Key
from modelservice_operator.controller.pauses import Pauses
from modelservice_operator.kube.errors import Throttled, Unavailable
from tests.support.clock import FakeClock

CHAT, OTHER = Key("team", "chat"), Key("team", "other")


def test_pause_ends_when_the_time_is_over() -> None:
    clock = FakeClock()
    pauses = Pauses(clock)
    pauses.note(CHAT, Throttled(429, "slow down", retry_after=3.0))
    assert pauses.left(CHAT) == 3.0
    assert pauses.left(OTHER) == 0.0
    clock.now += 2.5
    assert pauses.left(CHAT) == 0.5
    clock.now += 0.5
    assert pauses.left(CHAT) == 0.0


def test_the_longest_pause_counts_and_other_errors_ask_for_none() -> None:
    pauses = Pauses(FakeClock())
    for error in (Throttled(429, "", retry_after=5.0), Throttled(429, "", retry_after=1.0), Unavailable(503, ""), None):
        pauses.note(CHAT, error)
    assert pauses.left(CHAT) == 5.0
    pauses.forget(CHAT)
    assert pauses.left(CHAT) == 0.0
