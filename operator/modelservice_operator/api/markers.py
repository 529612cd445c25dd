"""Markers: what a CRD's schema says beyond what a pydantic type can.

A marker stands in `Annotated[...]` beside a type, or in the `RULES` of a `Block`. Each does two things from one
declaration: it writes an extension into the JSON schema, which `crdgen` turns into the CRD, and it enforces the same
rule when pydantic validates. So an object that the API server accepts is one that the operator accepts, and the other
way round; a property test holds the two together.

The Python twin of a CEL rule is written by hand beside it: a translator from one to the other would be a larger thing
to trust than the few lines that it saves.
"""

import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

Reason = Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired"]

SERVER_DEFAULT: Final = "x-server-default"
"""Schema key that carries a default for the API server to write; pydantic's own defaults stay in the code."""

_VALIDATIONS: Final = "x-kubernetes-validations"


def add_rules(schema: JsonSchemaValue, rules: Iterable["Cel"]) -> JsonSchemaValue:
    """Return `schema` with CEL rules appended."""
    rendered = [rule.manifest() for rule in rules]
    return {**schema, _VALIDATIONS: [*schema.get(_VALIDATIONS, []), *rendered]} if rendered else schema


class _Extension:
    """A marker that adds keys to the schema and may check the value after pydantic has validated its type."""

    def extend(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        """Return the schema with the marker's keys."""
        raise TypeError(f"{type(self).__name__} extends no schema")

    def validate(self, value: Any) -> Any:
        """Return the value, or raise `PydanticCustomError`."""
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.validate, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return self.extend(handler(schema))


@dataclass(frozen=True, slots=True)
class Cel(_Extension):
    """A CEL rule with its Python twin.

    `check` gets the value that CEL calls `self` and returns whether it passes. `field` is the path below the node, in
    the words of the manifest (`autoscaling.minReplicas`), that the message is about; `message` says what to do.
    """

    rule: str
    message: str
    check: Callable[[Any], bool]
    field: str = ""
    reason: Reason = "FieldValueInvalid"

    def manifest(self) -> dict[str, str]:
        """The rule as `x-kubernetes-validations` carries it."""
        entry = {"rule": self.rule, "message": self.message, "reason": self.reason}
        return {**entry, "fieldPath": f".{self.field}"} if self.field else entry

    def extend(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        """Append the rule."""
        return add_rules(schema, [self])

    def validate(self, value: Any) -> Any:
        """Run the Python twin."""
        if not self.check(value):
            where = f"{self.field}: " if self.field else ""
            raise PydanticCustomError("rule", "{text}", {"text": where + self.message, "field": self.field})
        return value


def matches(pattern: str, message: str) -> Cel:
    """A CEL rule that the whole string matches `pattern`; RE2 syntax, anchored, and no single quotes in it."""
    compiled = re.compile(pattern)
    return Cel(f"self.matches(r'{pattern}')", message, lambda value: compiled.fullmatch(value) is not None)


@dataclass(frozen=True, slots=True)
class ListMap(_Extension):
    """A list whose items are told apart by one required key, so that two writers can each own some of the items."""

    key: str

    def extend(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        """Declare the list a map."""
        return {**schema, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [self.key]}

    def validate(self, value: Any) -> Any:
        """Refuse two items with one key."""
        _refuse_duplicates(getattr(item, self.key) for item in value)
        return value


@dataclass(frozen=True, slots=True)
class ListSet(_Extension):
    """A list of scalars without duplicates."""

    def extend(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        """Declare the list a set."""
        return {**schema, "x-kubernetes-list-type": "set"}

    def validate(self, value: Any) -> Any:
        """Refuse duplicates."""
        _refuse_duplicates(value)
        return value


@dataclass(frozen=True, slots=True)
class Atomic(_Extension):
    """A list or map that is replaced as a whole: its order or its completeness matters."""

    def extend(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        """Declare the list or map atomic."""
        key = "x-kubernetes-list-type" if schema.get("type") == "array" else "x-kubernetes-map-type"
        return {**schema, key: "atomic"}


@dataclass(frozen=True, slots=True)
class IntOrString(_Extension):
    """A value that may be written as a number or as a string, such as a quantity or a percentage."""

    def extend(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        """Declare both types, keeping the limits of the string."""
        branches = schema.get("anyOf", [])
        limits = {key: value for branch in branches for key, value in branch.items() if key in ("maxLength", "pattern")}
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        return {**rest, **limits, "x-kubernetes-int-or-string": True}


@dataclass(frozen=True, slots=True)
class PreserveUnknown(_Extension):
    """An object of which the API server keeps every field, because its schema belongs to Kubernetes."""

    def extend(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        """Leave the schema open."""
        rest = {key: value for key, value in schema.items() if key != "additionalProperties"}
        return {**rest, "type": "object", "x-kubernetes-preserve-unknown-fields": True}


@dataclass(frozen=True, slots=True)
class Immutable(_Extension):
    """A field that keeps its value for the life of the object; only the API server can see a change."""

    message: str

    def extend(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        """Append the transition rule."""
        rule = {"rule": "self == oldSelf", "message": self.message, "reason": "FieldValueForbidden"}
        return {**schema, _VALIDATIONS: [*schema.get(_VALIDATIONS, []), rule]}


@dataclass(frozen=True, slots=True)
class ServerDefault(_Extension):
    """A default that the API server writes into the object, where users and other controllers see it."""

    value: Any

    def extend(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        """Carry the default to `crdgen`."""
        return {**schema, SERVER_DEFAULT: self.value}


def _refuse_duplicates(keys: Iterable[Hashable]) -> None:
    seen: set[Hashable] = set()
    for key in keys:
        if key in seen:
            raise PydanticCustomError("duplicate", "duplicate value {text}", {"text": repr(key)})
        seen.add(key)
