"""What came of a preparation: sizes before and after, as a table for people and as JSON for machines."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

MEGABYTE = 1e6


@dataclass(frozen=True)
class Side:
    """The model before, or after: bytes of its weights on disk, and its parameters."""

    weight_bytes: int
    parameters: int
    dtype: str


@dataclass(frozen=True)
class Report:
    """The whole outcome; `changes` are sentences."""

    source: str
    target: str
    changes: Sequence[str]
    before: Side
    after: Side

    @property
    def summary(self) -> str:
        """One line for logs."""
        return f"{_megabytes(self.before)} -> {_megabytes(self.after)} MB"

    def to_json(self) -> dict[str, Any]:
        """Return everything."""
        return asdict(self)

    def to_result(self) -> dict[str, Any]:
        """Return what the termination message has room for."""
        return self.to_json()

    def to_table(self) -> str:
        """Return the table, with an empty line around it."""
        rows = [
            ("", "before", "after"),
            ("weights, MB", _megabytes(self.before), _megabytes(self.after)),
            ("parameters, million", f"{self.before.parameters / 1e6:.1f}", f"{self.after.parameters / 1e6:.1f}"),
            ("dtype", self.before.dtype, self.after.dtype),
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join(["", *lines, ""])


def _megabytes(side: Side) -> str:
    return f"{side.weight_bytes / MEGABYTE:.1f}"
