"""What came of a preparation, before and after, as a table for people and as JSON for machines."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelservice_runtime.preparing.comparison import Comparison, Measured

MEGABYTE = 1e6
Row = tuple[str, str, str]


@dataclass(frozen=True)
class Side:
    """The model before, or after: bytes of its weights on disk, its parameters, and the dtype of most of them."""

    weight_bytes: int
    parameters: int
    dtype: str


@dataclass(frozen=True)
class Report:
    """The whole outcome; `changes` are sentences, `comparison` is None where none was asked for."""

    source: str
    target: str
    changes: Sequence[str]
    before: Side
    after: Side
    comparison: "Comparison | None" = None

    @property
    def summary(self) -> str:
        """One line for logs."""
        parts = [f"{_megabytes(self.before)} -> {_megabytes(self.after)} MB"]
        if (found := self.comparison) is not None:
            if found.before.speed and found.after.speed:
                parts.append(f"{found.after.speed.median / found.before.speed.median:.2f} times the speed")
            parts += [f"{name} {value}" for name, value in _agreement_rows(found)]
        return ", ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return everything."""
        return asdict(self)

    def to_result(self) -> dict[str, Any]:
        """Return what the termination message has room for."""
        result = self.to_json()
        result["changes"] = [change[:200] for change in self.changes[:6]]
        return result

    def to_table(self) -> str:
        """Return the table for a terminal or a log."""
        rows = [
            ("", "before", "after"),
            ("weights, MB", _megabytes(self.before), _megabytes(self.after)),
            ("parameters, million", f"{self.before.parameters / 1e6:.2f}", f"{self.after.parameters / 1e6:.2f}"),
            ("dtype of the weights", self.before.dtype, self.after.dtype),
            *(_measured_rows(self.comparison) if self.comparison else ()),
        ]
        notes = [f"changed: {'; '.join(self.changes)}"]
        if (found := self.comparison) is not None:
            agreed = "; ".join(f"{name} {value}" for name, value in _agreement_rows(found))
            notes.append(
                f"agreement on {found.agreement.samples} samples ({found.samples}): {agreed or 'not measured'}"
            )
            notes.append("measured on " + ", ".join(f"{key} {value}" for key, value in found.processor.items()))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, "", *notes, ""])


def _measured_rows(found: "Comparison") -> Iterator[Row]:
    yield "computed in", found.before.dtype, found.after.dtype
    yield "load, s", f"{found.before.load_seconds:.2f}", f"{found.after.load_seconds:.2f}"
    if found.before.speed and found.after.speed:
        yield f"{found.unit}, median of {found.rounds}", _pace(found.before), _pace(found.after)


def _pace(side: "Measured") -> str:
    speed = side.speed
    return f"{speed.median:.1f} ({speed.slowest:.1f} to {speed.fastest:.1f})" if speed else ""


def _agreement_rows(found: "Comparison") -> Iterator[tuple[str, str]]:
    agreement = found.agreement
    if agreement.cosine_mean is not None and agreement.cosine_least is not None:
        yield "cosine", f"{agreement.cosine_mean:.5f} (least {agreement.cosine_least:.5f})"
    shares = (
        ("top-1 agreement", agreement.top1),
        ("same answers", agreement.same_answers),
        ("same greedy tokens", agreement.same_tokens),
    )
    for name, share in shares:
        if share is not None:
            yield name, f"{100 * share:.1f} %"


def _megabytes(side: Side) -> str:
    return f"{side.weight_bytes / MEGABYTE:.1f}"
