"""How the requests of a canary go, beside those of the revision that served: read from the pods at the end of a step.

Each pod tells what it has answered since it began. A pod that cannot be read says nothing for or against.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from modelservice_operator.controller.observe import Observation
from modelservice_operator.domain import Calls, is_ready, is_step_over
from modelservice_operator.domain.engine_metrics import metric_names
from modelservice_operator.domain.pods import is_of_canary
from modelservice_operator.observability.exposition import Snapshot
from modelservice_operator.observability.scrape import UNREADABLE, Scraper

_SERVER_FAILED = "5"
"""First digit of the codes of requests that the server failed."""


class Comparison:
    """Reads pods when a step of a canary is over, and at no other time."""

    def __init__(self, scraper: Scraper) -> None:
        self._scraper = scraper

    async def of(self, seen: Observation) -> tuple[Calls, Calls] | None:
        """The requests of the revision that served, and of the canary; None when nobody has to know, or can tell."""
        names = metric_names(seen.profile)
        if seen.service is None or not names.is_ours or not is_step_over(seen.service, seen.children, seen.seen_at):
            return None
        ready = [pod for pod in seen.pods if is_ready(pod) and pod["status"].get("podIP")]
        said = await asyncio.gather(*(self._read(pod) for pod in ready))
        sides: dict[bool, list[Snapshot]] = {False: [], True: []}
        for pod, snapshot in zip(ready, said, strict=True):
            if snapshot is not None:
                sides[is_of_canary(pod)].append(snapshot)
        return count_calls(sides[False], names.calls), count_calls(sides[True], names.calls)

    async def _read(self, pod: Mapping[str, Any]) -> Snapshot | None:
        try:
            return await self._scraper.metrics(str(pod["status"]["podIP"]))
        except UNREADABLE:
            return None


def count_calls(snapshots: Iterable[Snapshot], name: str) -> Calls:
    """The requests that pods have answered, and those that they failed."""
    samples = [sample for snapshot in snapshots for sample in snapshot.get(name, ())]
    failed = sum(value for labels, value in samples if labels.get("code", "").startswith(_SERVER_FAILED))
    return Calls(failed, sum(value for _, value in samples))
