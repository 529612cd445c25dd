"""How a window's tokens become segments, and where the next window begins."""

from modelservice_runtime.tasks.whisper_segments import Part, cut_window

ZERO = 1000


def at(seconds: float) -> int:
    return ZERO + round(seconds / 0.02)


def test_next_window_begins_where_an_unfinished_segment_did() -> None:
    tokens = [at(0.0), 1, 2, at(2.0), at(2.0), 3, at(5.0), at(5.0), 4]
    parts, ahead = cut_window(tokens, ZERO, 3000)
    assert parts == [Part(0.0, 2.0, 0, 4), Part(2.0, 5.0, 4, 7)]
    assert ahead == 500


def test_whole_window_is_done_when_the_last_segment_has_an_end() -> None:
    tokens = [at(0.0), 1, at(2.0), at(2.5), 3, at(5.0)]
    parts, ahead = cut_window(tokens, ZERO, 3000)
    assert parts == [Part(0.0, 2.0, 0, 3), Part(2.5, 5.0, 3, 6)]
    assert ahead == 3000


def test_window_without_pairs_is_one_segment() -> None:
    assert cut_window([1, 2, 3], ZERO, 1000) == ([Part(0.0, 10.0, 0, 3)], 1000)
    assert cut_window([at(0.0), 1, at(4.0)], ZERO, 1000) == ([Part(0.0, 4.0, 0, 3)], 1000)
    assert cut_window([], ZERO, 1000) == ([Part(0.0, 10.0, 0, 0)], 1000)


def test_window_always_moves_on() -> None:
    _, ahead = cut_window([at(0.0), at(0.0), 1], ZERO, 3000)
    assert ahead > 0
