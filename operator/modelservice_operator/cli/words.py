"""Values of fields in the fewest words that tell a reader what they are."""

import difflib
import json
from collections.abc import Iterator
from typing import Any

from modelservice_operator.cli.changes import FieldChange

_CONTEXT = 0
_LENGTH = 160


def describe_change(change: FieldChange) -> list[str]:
    """The lines that show a change: `path: before -> after`; of long texts the lines that differ."""
    if _is_long(change.before) or _is_long(change.after):
        return [f"{change.path}:", *(f"  {line}" for line in _text_changes(change.before, change.after))]
    if change.before is None:
        return [f"{change.path}: {in_words(change.after)}"]
    if change.after is None:
        return [f"{change.path}: {in_words(change.before)} -> (removed)"]
    return [f"{change.path}: {in_words(change.before)} -> {in_words(change.after)}"]


def in_words(value: Any) -> str:
    """A value on one line, cut where it gets too long."""
    line = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return line if len(line) <= _LENGTH else f"{line[:_LENGTH]}... ({len(line)} characters)"


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and "\n" in value


def _text_changes(before: Any, after: Any) -> Iterator[str]:
    old, new = (str(text or "").splitlines() for text in (before, after))
    for line in difflib.unified_diff(old, new, lineterm="", n=_CONTEXT):
        if not line.startswith(("---", "+++", "@@")):
            yield line


def describe_age(seconds: float) -> str:
    """A span of time in its two largest units, as `3m12s`; clocks that differ give no negative age."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
    return "".join(parts[:2])
