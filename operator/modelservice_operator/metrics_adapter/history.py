"""The last minute of every pod, because the rate of a counter is a difference.

A gauge is asked for by its name. The rate of a counter `X_total` over the last minute is asked for as `X_per_second`;
it is not known until a pod has been read twice. A counter that went back means a server that began anew, whose rate
is not known either.
"""

from collections import deque
from collections.abc import Mapping

from modelservice_operator.observability.exposition import COUNTER_SUFFIX, Snapshot, total_of

RATE_SUFFIX = "_per_second"
WINDOW_SECONDS = 60.0
FORGET_SECONDS = 600.0
"""A pod that nobody has asked about for so long is gone, or has no autoscaler any more."""
FRESH_SECONDS = 1.0
"""A pod that was read just now is not read again: one autoscaler may ask for several metrics in a row."""

_Past = deque[tuple[float, Snapshot]]


class History:
    """What pods said, by their uid. Times are those of a monotonic clock."""

    def __init__(self) -> None:
        self._pods: dict[str, _Past] = {}

    def is_fresh(self, uid: str, now: float) -> bool:
        """Whether the pod was read so recently that it need not be read again."""
        past = self._pods.get(uid)
        return past is not None and now - past[-1][0] < FRESH_SECONDS

    def add(self, uid: str, now: float, snapshot: Snapshot) -> None:
        """Remember what a pod says now, and forget what is too old to matter."""
        past = self._pods.setdefault(uid, deque())
        past.append((now, snapshot))
        while len(past) > 2 and now - past[1][0] >= WINDOW_SECONDS:
            past.popleft()
        for other in [uid for uid, said in self._pods.items() if now - said[-1][0] > FORGET_SECONDS]:
            del self._pods[other]

    def forget(self, uid: str) -> None:
        """The pod does not answer any more."""
        self._pods.pop(uid, None)

    def value(self, uid: str, metric: str, labels: Mapping[str, str]) -> float | None:
        """The value of a metric of a pod as of its last reading; None when it is not known."""
        past = self._pods.get(uid)
        if past is None:
            return None
        if metric.endswith(RATE_SUFFIX):
            return _rate(past, metric.removesuffix(RATE_SUFFIX) + COUNTER_SUFFIX, labels)
        return total_of(past[-1][1], metric, labels)


def _rate(past: _Past, counter: str, labels: Mapping[str, str]) -> float | None:
    (first, before), (last, after) = past[0], past[-1]
    old, new = total_of(before, counter, labels), total_of(after, counter, labels)
    if last - first < FRESH_SECONDS or old is None or new is None or new < old:
        return None
    return (new - old) / (last - first)
