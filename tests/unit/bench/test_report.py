"""Figures, lines, and the three forms of the report."""

import json
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench.runtime import report
from tests.bench.runtime.figures import (
    answers_per_second,
    first_token_times,
    gaps,
    missing_line,
    percentile,
    ratio_line,
    spread,
    tokens_per_second,
    value_line,
)
from tests.bench.runtime.load import Load, Outcome
from tests.bench.runtime.scrape import summed
from tests.bench.runtime.targets import TARGETS

KEYS = {"name", "ours", "peer", "ratio", "target", "met", "spread", "unit", "note"}


def make_load() -> Load:
    whole = Outcome(0.0, 2.0, 200, [0.5, 1.0, 1.5, 2.0], tokens=8)
    cut = Outcome(1.0, 0.0, 0, [1.2, 3.5])
    refused = Outcome(1.0, 1.1, 429)
    return Load([whole, cut, refused], start=1.0, end=3.0)


def test_tokens_are_counted_in_the_window_when_an_event_holds_several() -> None:
    assert tokens_per_second(make_load()) == (3 + 1) * 2 / 2.0


def test_only_complete_answers_of_the_window_count() -> None:
    assert answers_per_second(make_load()) == 0.5


def test_times_between_and_to_the_first_text() -> None:
    assert first_token_times(make_load()) == pytest.approx([0.5, 0.2])
    assert gaps(make_load()) == pytest.approx([0.5, 0.5, 0.5])


def test_percentiles_are_values_that_occurred() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 0.0)) == (3.0, 5.0, 1.0)
    assert math.isnan(percentile([], 0.5))


def test_spread_is_half_of_the_range() -> None:
    assert spread([9.0, 10.0, 11.0]) == pytest.approx(0.1)


def test_ratios_are_those_of_the_rounds_when_both_drift() -> None:
    line = ratio_line(TARGETS["generation-8"], "m", [20.0, 40.0, 80.0], [10.0, 20.0, 40.0])
    assert (line.ratio, line.spread, line.met, line.ours, line.peer) == (2.0, 0.0, True, 40.0, 20.0)


def test_a_ratio_is_turned_round_when_the_target_says_how_much_better() -> None:
    line = ratio_line(TARGETS["prefix"], "m", [0.1], [0.25])
    assert (line.ratio, line.met) == (2.5, False)


def test_no_figure_is_made_up_when_a_side_was_not_measured() -> None:
    line = ratio_line(TARGETS["generation-8"], "m", [20.0], [0.0])
    assert (line.ours, line.ratio, line.met) == (None, None, None)
    assert line.note.startswith("not measured")


def test_a_round_without_a_figure_leaves_the_others_as_they_are() -> None:
    line = ratio_line(TARGETS["generation-8"], "m", [20.0, 30.0, 90.0], [10.0, math.nan, 30.0], "busy")
    assert (line.ours, line.peer, line.ratio, line.met) == (55.0, 20.0, 2.5, True)
    assert line.note == "1 of 3 rounds gave no figure for both; busy"


def test_a_bound_without_a_peer_is_held_by_the_median() -> None:
    line = value_line(TARGETS["probes"], "m", [10.0, 60.0, 20.0])
    assert (line.ours, line.peer, line.met, line.target) == (20.0, None, True, "<= 50 ms")


def test_the_three_files_are_written_and_readable(tmp_path: Path) -> None:
    lines = [
        ratio_line(TARGETS["generation-8"], "a <model>", [20.12345], [10.0]),
        value_line(TARGETS["probes"], "m", [10.0]),
        missing_line(TARGETS["speech"], "no peer"),
    ]
    report.write(tmp_path, lines, "a machine")
    read = json.loads((tmp_path / "runtime.json").read_text())
    assert all(set(line) == KEYS for line in read)
    assert [line["met"] for line in read] == [True, True, None]
    assert read[0]["ratio"] == 2.012
    assert "not measured: no peer" in (tmp_path / "runtime.md").read_text()
    assert ElementTree.parse(tmp_path / "runtime.svg").getroot().tag.endswith("svg")


def test_a_metric_is_summed_over_its_labels() -> None:
    metrics = 'a_sum{x="1"} 2.5\na_sum{x="2"} 1.5\na_sum_other 7\n# a_sum\n'
    assert summed(metrics, "a_sum") == 4.0
