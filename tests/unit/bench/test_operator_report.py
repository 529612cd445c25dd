"""Figures of the operator's benchmark, and the files that tell them."""

import json
from pathlib import Path

import pytest

from tests.bench.operator import report
from tests.bench.operator.figures import Figure, figure, percentiles
from tests.bench.operator.measures import Curve
from tests.bench.operator.subject import Use


@pytest.mark.parametrize(("seconds", "met"), [(59.9, True), (60.0, False)])
def test_figure_is_held_against_its_bound(seconds: float, met: bool) -> None:
    assert figure("burst: all children exist", seconds, "s", 1000).met is met


def test_bound_does_not_count_when_it_was_set_for_another_number_of_services() -> None:
    assert figure("burst: all children exist", 9.0, "s", 200).met is None


def test_times_are_told_in_the_unit_of_their_bound() -> None:
    name = "apply to all children, alone"
    middle, high = percentiles(name, [0.05, 0.09, 0.25], "ms", 200, 50, 95)
    assert (middle.value, middle.met) == (pytest.approx(90), True)
    assert (high.value, high.met) == (pytest.approx(250), False)


def test_files_tell_what_was_measured_and_what_was_missed(tmp_path: Path) -> None:
    figures = [Figure("at rest: writes", 3.0, "writes", "<= 0 writes", False, 0.5), Figure("load", 1.0, "")]
    samples = [("burst", Use(float(second), second / 2, 50.0, 60.0)) for second in range(3)]
    paths = report.write(tmp_path, figures, Curve([0.1], [0.2], [0.3]), samples, "on a machine")
    written = {path.suffix: path.read_text() for path in paths}
    assert [set(entry) for entry in json.loads(written[".json"])] == [
        {"name", "value", "unit", "target", "met", "spread"}
    ] * 2
    assert "| at rest: writes | 3 writes | <= 0 writes | **no** |" in written[".md"]
    assert written[".svg"].startswith("<?xml")
