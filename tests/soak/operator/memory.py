"""What the operators' processes hold, over time."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_WARM_SECONDS = 600.0


@dataclass(frozen=True)
class Sample:
    """`seconds` since the beginning, the process, and its resident memory in MiB."""

    seconds: float
    pid: int
    mib: float


@dataclass
class Memory:
    """Every sample that was taken."""

    samples: list[Sample] = field(default_factory=list)

    def note(self, seconds: float, pid: int, mib: float) -> None:
        """Add a sample."""
        self.samples.append(Sample(seconds, pid, mib))

    @property
    def warm(self) -> float:
        """MiB of the largest process after the first sixth, at most ten minutes: the median of a sixth."""
        length = self.samples[-1].seconds
        begin = min(length / 6, MAX_WARM_SECONDS)
        return self._largest(begin, begin + length / 6)

    @property
    def last(self) -> float:
        """MiB of the largest process in the last sixth: the median."""
        length = self.samples[-1].seconds
        return self._largest(length * 5 / 6, length)

    @property
    def highest(self) -> float:
        """MiB at most, of any process at any time."""
        return max(sample.mib for sample in self.samples)

    def _largest(self, begin: float, end: float) -> float:
        by_time: dict[float, float] = {}
        for sample in self.samples:
            if begin <= sample.seconds <= end:
                by_time[sample.seconds] = max(by_time.get(sample.seconds, 0.0), sample.mib)
        return median(list(by_time.values()))


def median(values: Sequence[float]) -> float:
    """The median; 0 of nothing."""
    return statistics.median(values) if values else 0.0
