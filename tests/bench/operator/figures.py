"""Figures and the bounds that they are held against."""

import operator
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from tests.bench.runtime.figures import percentile, spread

COMPARE = {"<=": operator.le, "<": operator.lt}


@dataclass(frozen=True, slots=True)
class Target:
    """A bound; `count` is the number of services for which it was set, where that matters."""

    bound: str
    limit: float
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report.

    `target` and `met` are None where nothing is promised; `spread` is a share of the median.
    """

    name: str
    value: float
    unit: str
    target: str | None = None
    met: bool | None = None
    spread: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The figure with rounded numbers."""
        return {key: float(f"{v:.4g}") if isinstance(v, float) else v for key, v in asdict(self).items()}


TARGETS: Final[Mapping[str, Target]] = {
    "apply to all children, alone: p50": Target("<=", 100),
    "apply to all children, alone: p95": Target("<=", 200),
    "apply to all children, the others at rest: p95": Target("<=", 300),
    "burst: all children exist": Target("<", 60, 1000),
    "burst: all Ready": Target("<", 80, 1000),
    "writes of a service created alone, beyond its children": Target("<=", 2),
    "writes of a service in the burst, beyond its children": Target("<=", 2),
    "at rest: writes": Target("<=", 0),
    "at rest: CPU": Target("<", 1),
    "at rest: memory, 1000 services": Target("<=", 120),
    "at rest: memory, 5000 services": Target("<=", 300),
    "burst: highest memory, 1000 services": Target("<=", 120),
    "burst: highest memory, 5000 services": Target("<=", 300),
    "restart: every service looked at": Target("<", 15, 1000),
    "restart: writes": Target("<=", 0),
    "failover, leader killed: longest": Target("<=", 17),
    "failover, leader ended gracefully: longest": Target("<=", 3),
    "failover: writes by a replica that did not lead": Target("<=", 0),
    "deleted child back, any kind: p95": Target("<", 300),
    "beside a hot object, deleted child back: p99": Target("<", 2000),
}


def figure(name: str, value: float, unit: str, count: int, values: Sequence[float] = ()) -> Figure:
    """A figure with its target, if one was set for so many services; `values` are what its spread comes from."""
    width = spread(values) if len(values) > 1 and statistics.median(values) else None
    target = TARGETS.get(name)
    if target is None or target.count not in (None, count):
        return Figure(name, value, unit, spread=width)
    text = f"{target.bound} {target.limit:g} {unit}".strip()
    return Figure(name, value, unit, text, bool(COMPARE[target.bound](value, target.limit)), width)


def percentiles(name: str, seconds: Sequence[float], unit: str, count: int, *shares: int) -> list[Figure]:
    """Percentiles of times, in seconds or, with the unit ms, in milliseconds."""
    scale = 1000.0 if unit == "ms" else 1.0
    return [
        figure(f"{name}: p{share}", percentile(seconds, share / 100) * scale, unit, count, seconds) for share in shares
    ]
