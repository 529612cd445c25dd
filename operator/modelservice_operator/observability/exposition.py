"""What one pod's `/metrics` says: its gauges and counters. Histograms are left out, no autoscaler asks for them.

Samples without a type are taken for gauges, since some servers give none.
"""

import math
from collections.abc import Mapping, Sequence

from prometheus_client.parser import text_string_to_metric_families

Sample = tuple[Mapping[str, str], float]
Snapshot = Mapping[str, Sequence[Sample]]
"""Samples by name. A family that exists and has no sample yet has an empty list: nothing has been counted."""

COUNTER_SUFFIX = "_total"


def read_snapshot(text: str) -> Snapshot:
    """Parse Prometheus' text format. Raises ValueError when it is something else."""
    found: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(text):
        if family.type not in ("gauge", "counter", "unknown"):
            continue
        name = family.name + COUNTER_SUFFIX if family.type == "counter" else family.name
        samples = [(each.labels, each.value) for each in family.samples if each.name == name]
        found[name] = [sample for sample in samples if math.isfinite(sample[1])]
    return found


def total_of(snapshot: Snapshot, name: str, labels: Mapping[str, str]) -> float | None:
    """The sum of the samples that have these labels; None when the pod has no such metric at all."""
    samples = snapshot.get(name)
    if samples is None:
        return None
    return sum(value for had, value in samples if all(had.get(key) == text for key, text in labels.items()))
