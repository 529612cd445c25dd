"""How answers that differ are counted and explained."""

import pytest

from tests.bench.runtime.areas.agreement import explain, is_rounding, share

TIE = {"prompt": 3, "place": 5, "gap": 0.1, "error": 0.06}
FAULT = {"prompt": 4, "place": 0, "gap": 3.0, "error": 0.06}


def test_a_gap_is_rounding_when_the_dtype_cannot_tell_the_two_tokens_apart() -> None:
    assert is_rounding(TIE)
    assert not is_rounding(FAULT)


def test_float32_has_no_excuse_when_answers_differ() -> None:
    found = {"same": 8, "of": 10, "differences": [TIE, FAULT]}
    assert share(found, "float32") == pytest.approx(0.8)
    assert share(found, "bfloat16") == pytest.approx(0.9)


def test_differences_are_counted_in_words() -> None:
    assert explain({"same": 10, "of": 10, "differences": []}) == "10 of 10 the same"
    told = explain({"same": 8, "of": 10, "differences": [TIE, FAULT]})
    assert told.startswith("8 of 10 the same; of 2 others 1 part")
    assert "largest 3)" in told
