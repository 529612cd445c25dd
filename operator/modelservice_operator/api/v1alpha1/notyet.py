"""What the schema describes and this version does not do yet.

The whole API is in the schema, so that its shape is settled early; what has no effect yet is refused with a sentence
that says so, because a field that is silently ignored misleads. To open a feature, delete its line here.
"""

from dataclasses import dataclass
from typing import Any, Final

from ..markers import Cel
from .block import Block
from .workload import SERVED_TASKS


@dataclass(frozen=True, slots=True)
class _Absent:
    """The field must be left out; an empty list counts as left out."""

    path: str
    way_out: str
    is_list: bool = False

    def rule(self) -> Cel:
        """The rule on the spec."""
        empty = f" || size(self.{self.path}) == 0" if self.is_list else ""
        return Cel(
            f"{_missing(self.path)}{empty}",
            f"does not work in this version; {self.way_out}",
            self._allows,
            field=self.path,
            reason="FieldValueForbidden",
        )

    def _allows(self, spec: Block) -> bool:
        value = spec.get(self.path)
        return value is None or (self.is_list and value == [])


@dataclass(frozen=True, slots=True)
class _Only:
    """Of the field's values only some work; leaving it out works too."""

    path: str
    values: tuple[str | bool, ...]
    way_out: str

    def rule(self) -> Cel:
        """The rule on the spec."""
        words = " and ".join(_literal(value).strip("'") for value in self.values)
        verb = "works" if len(self.values) == 1 else "work"
        return Cel(
            f"{_missing(self.path)} || self.{self.path} in [{', '.join(map(_literal, self.values))}]",
            f"only {words} {verb} in this version; {self.way_out}",
            lambda spec: spec.get(self.path) is None or spec.get(self.path) in self.values,
            field=self.path,
            reason="FieldValueForbidden",
        )


def _missing(path: str) -> str:
    words = path.split(".")
    return " || ".join(f"!has(self.{'.'.join(words[: depth + 1])})" for depth in range(len(words)))


def _literal(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"'{value}'"


_LIMITS: Final[tuple[_Absent | _Only, ...]] = (
    _Only(
        "model.task",
        ("auto", *sorted(SERVED_TASKS)),
        "set one of them or remove spec.model.task",
    ),
    _Only("model.trustRemoteCode", (False,), "remove it, and use a model that needs no code of its own"),
    _Absent("scheduling.resourceClaims", "remove it and use spec.accelerator", is_list=True),
    _Only("cache.strategy", ("None",), "remove spec.cache or set strategy: None"),
    _Only("deletionPolicy", ("Delete",), "set it to Delete or remove it"),
)

NOT_YET: Final[tuple[Cel, ...]] = tuple(limit.rule() for limit in _LIMITS)
"""The rules, each on the spec of a ModelService."""
