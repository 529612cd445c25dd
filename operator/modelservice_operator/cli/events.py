"""The warning events of a namespace that are about one ModelService, the newest first, each told once."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from modelservice_operator.domain.tree import Tree, branch, number, text

_SHOWN: Final = 15


@dataclass(frozen=True, slots=True)
class WarningEvent:
    """What was said of an object, how often, and when last."""

    object: str
    reason: str
    message: str
    count: int
    time: str


def select_warnings(events: Iterable[Tree], objects: Iterable[tuple[str, str]]) -> tuple[WarningEvent, ...]:
    """The warnings about `objects` (kind and name), and about the ReplicaSets of Deployments among them."""
    wanted = set(objects)
    deployments = "|".join(re.escape(name) for kind, name in wanted if kind == "Deployment")
    replica_set = re.compile(rf"({deployments})-[a-z0-9]+") if deployments else None
    found: dict[tuple[str, str, str], WarningEvent] = {}
    for event in events:
        kind, name = (text(event, "involvedObject", key) for key in ("kind", "name"))
        is_replica_set = kind == "ReplicaSet" and replica_set is not None and replica_set.fullmatch(name)
        if text(event, "type") == "Warning" and ((kind, name) in wanted or is_replica_set):
            _add(found, event, f"{kind} {name}")
    return tuple(sorted(found.values(), key=lambda warning: warning.time, reverse=True)[:_SHOWN])


def _add(found: dict[tuple[str, str, str], WarningEvent], event: Tree, what: str) -> None:
    key = what, text(event, "reason"), text(event, "message").strip()
    time = text(event, "series", "lastObservedTime") or text(event, "lastTimestamp") or text(event, "eventTime")
    count = number(event, "count") or number(branch(event, "series"), "count") or 1
    known = found.get(key)
    found[key] = WarningEvent(*key, count + (known.count if known else 0), max(time, known.time if known else ""))
