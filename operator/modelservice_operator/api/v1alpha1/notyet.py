"""What the schema describes and this version does not do yet.

The whole API is in the schema, so that its shape is settled early; what has no effect yet is refused with a sentence
that says so, because a field that is silently ignored misleads. To open a feature, delete its line here.
"""

from dataclasses import dataclass
from typing import Final

from ..markers import Cel
from .workload import SERVED_TASKS


@dataclass(frozen=True, slots=True)
class _Only:
    """Of the field's values only some work; leaving it out works too."""

    path: str
    values: tuple[str, ...]
    way_out: str

    def rule(self) -> Cel:
        """The rule on the spec."""
        words = " and ".join(self.values)
        verb = "works" if len(self.values) == 1 else "work"
        return Cel(
            f"{_missing(self.path)} || self.{self.path} in [{', '.join(map(repr, self.values))}]",
            f"only {words} {verb} in this version; {self.way_out}",
            lambda spec: spec.get(self.path) is None or spec.get(self.path) in self.values,
            field=self.path,
            reason="FieldValueForbidden",
        )


def _missing(path: str) -> str:
    words = path.split(".")
    return " || ".join(f"!has(self.{'.'.join(words[: depth + 1])})" for depth in range(len(words)))


_LIMITS: Final[tuple[_Only, ...]] = (
    _Only(
        "model.task",
        ("auto", *sorted(SERVED_TASKS)),
        "set one of them or remove spec.model.task",
    ),
)

NOT_YET: Final[tuple[Cel, ...]] = tuple(limit.rule() for limit in _LIMITS)
"""The rules, each on the spec of a ModelService."""
