"""Values of metrics from the pods themselves.

Only pods of ModelServices that are ready are read: to an autoscaler a pod without a value is one whose load is not
known, which it takes for idle when it adds pods and for busy when it takes some away. So a pod that still loads its
model neither hides a full queue nor is a reason to scale down.
"""

import asyncio
import logging
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelservice_operator.api.contract import ADMIN_PORT, METRICS_PATH
from modelservice_operator.api.names import METRICS
from modelservice_operator.kube.api import KubeApi
from modelservice_operator.kube.resources import OURS, Resource
from modelservice_operator.metrics_adapter.history import History
from modelservice_operator.observability.scrape import UNREADABLE, Scraper

log = logging.getLogger(__name__)

Pod = Mapping[str, Any]

_PAGE: Final = re.compile("([0-9]{4,5})(/[!-~]{0,255})")
_PORTS: Final = range(1024, 1 << 16)


class PodMetrics:
    """Reads pods when somebody asks."""

    def __init__(self, api: KubeApi, port: int = ADMIN_PORT) -> None:
        self._api = api
        self._history = History()
        self._scraper = Scraper(port)

    async def close(self) -> None:
        """Close the connections."""
        await self._scraper.close()

    async def values(
        self, namespace: str, selector: str, metric: str, labels: Mapping[str, str], name: str = ""
    ) -> Sequence[tuple[str, float]]:
        """Pod and value, for each ready pod that the selector matches and that has one. Raises ApiError.

        `name` picks one of the pods.
        """
        resource = Resource("Pod", "", "v1", "pods", selector=",".join(filter(None, (OURS, selector))))
        pods = [pod async for page in self._api.list_pages(resource, namespace) for pod in page.items]
        chosen = [pod for pod in pods if is_ready(pod) and name in ("", pod["metadata"]["name"])]
        await asyncio.gather(*map(self._read, chosen))
        found = ((pod["metadata"]["name"], self._history.value(_uid(pod), metric, labels)) for pod in chosen)
        return [(pod, value) for pod, value in found if value is not None]

    async def _read(self, pod: Pod) -> None:
        """Ask one pod. What it said before is not its load now, so a pod that does not answer is forgotten."""
        uid, name = _uid(pod), pod["metadata"]["name"]
        if self._history.is_fresh(uid, time.monotonic()):
            return
        try:
            snapshot = await self._scraper.metrics(str(pod["status"]["podIP"]), *page_of(pod))
            self._history.add(uid, time.monotonic(), snapshot)
        except UNREADABLE as error:
            self._history.forget(uid)
            log.warning("Pod %s tells no metrics: %s: %s", name, type(error).__name__, error)


def page_of(pod: Pod) -> tuple[int, str]:
    """Port and path of a pod's metrics, as its annotation says where its server is of another make.

    Raises ValueError when the annotation, which its owner may have written, says something else.
    """
    mark = (pod["metadata"].get("annotations") or {}).get(METRICS, "")
    if not mark:
        return 0, METRICS_PATH
    found = _PAGE.fullmatch(mark)
    if found is None or int(found[1]) not in _PORTS:
        raise ValueError(
            f"the annotation {METRICS} is {mark[:80]!r}; it must be a port and a path, such as 8000/metrics"
        )
    return int(found[1]), found[2]


def is_ready(pod: Pod) -> bool:
    """Whether the pod serves, has an address and is not about to end."""
    status = pod.get("status") or {}
    conditions = {entry["type"]: entry["status"] for entry in status.get("conditions") or ()}
    is_ending = pod["metadata"].get("deletionTimestamp")
    return bool(conditions.get("Ready") == "True" and status.get("podIP") and not is_ending)


def _uid(pod: Pod) -> str:
    return str(pod["metadata"]["uid"])
