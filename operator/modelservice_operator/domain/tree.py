"""Reading JSON that others wrote: whatever is missing or of another type reads as empty, and nothing raises."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

Tree = Mapping[str, Any]


def branch(source: Any, *path: str) -> Tree:
    """The object at a path."""
    for word in path:
        source = source.get(word) if isinstance(source, Mapping) else None
    return source if isinstance(source, Mapping) else {}


def items(source: Any, *path: str) -> list[Tree]:
    """The objects in the list at a path."""
    found = branch(source, *path[:-1]).get(path[-1])
    return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []


def text(source: Any, *path: str) -> str:
    """The text at a path."""
    found = branch(source, *path[:-1]).get(path[-1])
    return found if isinstance(found, str) else ""


def number(source: Any, *path: str) -> int:
    """The whole number at a path; 0 when there is none."""
    found = branch(source, *path[:-1]).get(path[-1])
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def seconds(source: Any, *path: str) -> float | None:
    """The finite number that is not negative at a path."""
    found = branch(source, *path[:-1]).get(path[-1])
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if 0 <= found < float("inf") else None


def moment(source: Any, *path: str) -> datetime | None:
    """The time at a path, as Kubernetes writes it (`2026-01-31T08:00:00Z`)."""
    try:
        found = datetime.fromisoformat(text(source, *path))
    except ValueError:
        return None
    return found if found.tzinfo else None
