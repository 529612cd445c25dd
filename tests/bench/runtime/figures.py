"""From what happened to figures, and from figures to the lines of the report."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench.runtime.load import Load
from tests.bench.runtime.targets import Target

Figures = dict[str, float]
"""What one turn of one contender measured."""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie (nearest rank); NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(values: Sequence[float]) -> float:
    """Return the median; NaN of nothing."""
    return statistics.median(values) if values else math.nan


def spread(values: Sequence[float]) -> float:
    """Return half of the range as a share of the median: 0.05 says "give or take 5 %"."""
    middle = median(values)
    return (max(values) - min(values)) / 2 / middle if values and middle else math.nan


def tokens_per_second(load: Load) -> float:
    """Return the tokens that arrived in the window, a second.

    An event may hold several tokens, so those of complete answers say how many it holds on average.
    """
    counted = [o for o in load.outcomes if o.complete and o.tokens and o.events]
    per_event = sum(o.tokens or 0 for o in counted) / sum(len(o.events) for o in counted) if counted else 1.0
    events = sum(load.start <= at < load.end for o in load.outcomes for at in o.events)
    return events * per_event / (load.end - load.start)


def answers_per_second(load: Load) -> float:
    """Return the complete answers of the window, a second."""
    return sum(o.complete and load.start <= o.ended < load.end for o in load.outcomes) / (load.end - load.start)


def first_token_times(load: Load) -> list[float]:
    """Return the seconds from each request to its first text."""
    return [o.events[0] - o.began for o in load.outcomes if o.events]


def gaps(load: Load) -> list[float]:
    """Return the seconds between neighbouring texts of each answer, of the window."""
    return [
        after - before
        for o in load.outcomes
        for before, after in zip(o.events, o.events[1:], strict=False)
        if load.start <= after < load.end
    ]


def latencies(load: Load) -> list[float]:
    """Return the seconds that complete answers took."""
    return [o.ended - o.began for o in load.outcomes if o.complete]


def failures(load: Load) -> int:
    """Return how many requests ended with something else than 200; those that were given up do not count."""
    return sum(o.ended > 0 and not o.left and o.status != 200 for o in load.outcomes)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the report. `ratio` is ours over the peer's, or what the target names; `spread` is that of the ratio.

    A line that was not measured has no figures, and a note that says why.
    """

    name: str
    ours: float | None
    peer: float | None
    ratio: float | None
    target: str
    met: bool | None
    spread: float | None
    unit: str = ""
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the line with rounded figures and null where there is none."""
        return {key: _rounded(value) for key, value in asdict(self).items()}


def ratio_line(target: Target, of: str, ours: Sequence[float], peer: Sequence[float], note: str = "") -> Line:
    """Compare round by round: the medians of both, the median of the rounds' ratios, and their spread.

    A round in which either gave no figure does not count, and the note tells how many those are.
    """
    pairs = [(a, b) for a, b in zip(ours, peer, strict=True) if a > 0 and b > 0]
    if not pairs:
        return missing_line(target, "no round gave a figure for both" + (f"; {note}" if note else ""), of)
    if lost := len(ours) - len(pairs):
        note = "; ".join(part for part in (f"{lost} of {len(ours)} rounds gave no figure for both", note) if part)
    ratios = [b / a if target.inverse else a / b for a, b in pairs]
    mine, theirs = (median(side) for side in zip(*pairs, strict=True))
    ratio = median(ratios)
    met = target.met_by(ratio)
    return Line(_named(target, of), mine, theirs, ratio, target.text, met, spread(ratios), target.unit, note)


def value_line(target: Target, of: str, values: Sequence[float], note: str = "") -> Line:
    """Hold a figure of our own against its bound."""
    value = median(values)
    if math.isnan(value):
        return missing_line(target, note or "no figure", of)
    width = spread(values) if value else 0.0
    return Line(_named(target, of), value, None, None, target.text, target.met_by(value), width, target.unit, note)


def missing_line(target: Target, reason: str, of: str = "") -> Line:
    """Say that a target was not measured, and why."""
    return Line(_named(target, of), None, None, None, target.text, None, None, target.unit, f"not measured: {reason}")


def _named(target: Target, of: str) -> str:
    return f"{target.title} [{of}]" if of else target.title


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    return value
