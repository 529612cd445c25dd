"""The base of every part of a spec, and how a kind is described to the API server.

Blocks are strict, as the API server is: no conversion between types, no unknown fields, and `null` is the same as
leaving a field out. Attributes are snake_case, manifests are camelCase.
"""

from collections.abc import Set
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from ..markers import Cel, add_rules


def without_nulls(data: Any, keys: Set[str | None] | None = None) -> Any:
    """The mapping without those of `keys` (all, unless given) whose value is null; anything else as it is."""
    if not isinstance(data, dict):
        return data
    return {key: value for key, value in data.items() if value is not None or (keys is not None and key not in keys)}


class Block(BaseModel):
    """A part of a spec. `RULES` are CEL rules across its fields."""

    RULES: ClassVar[tuple[Cel, ...]] = ()

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="forbid",
        strict=True,
        frozen=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        return without_nulls(data, {field.alias for field in cls.model_fields.values()})

    @model_validator(mode="after")
    def _check_rules(self) -> "Block":
        for rule in self.RULES:
            rule.validate(self)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        body = handler.resolve_ref_schema(handler(schema))
        body.update(add_rules(body, cls.RULES))
        return body

    def has(self, path: str) -> bool:
        """Whether the manifest has the field at `path`, in the manifest's words, as CEL's `has` would answer."""
        return self.get(path) is not None

    def get(self, path: str) -> Any:
        """Value that the manifest has at `path` (`autoscaling.minReplicas`), or None where it has none."""
        node: Any = self
        for word in path.split("."):
            field = _field_named(type(node), word)
            if field not in node.model_fields_set:
                return None
            node = getattr(node, field)
        return node

    def manifest(self) -> dict[str, Any]:
        """The block as the manifest has it: camelCase, and only the fields that were given."""
        return self.model_dump(by_alias=True, exclude_unset=True)


def _field_named(block: type[BaseModel], alias: str) -> str:
    for name, field in block.model_fields.items():
        if field.alias == alias:
            return name
    raise KeyError(f"{block.__name__} has no field {alias}")


@dataclass(frozen=True, slots=True)
class PrinterColumn:
    """A column of `kubectl get`; priority 1 shows it with `-o wide` only."""

    name: str
    json_path: str
    description: str
    type: Literal["string", "integer", "boolean", "date"] = "string"
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Scale:
    """Paths of the scale subresource."""

    spec_replicas: str
    status_replicas: str
    selector: str


@dataclass(frozen=True, slots=True)
class ResourceKind:
    """What a CRD says besides its schema."""

    kind: str
    plural: str
    singular: str
    scope: Literal["Namespaced", "Cluster"]
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    columns: tuple[PrinterColumn, ...] = ()
    scale: Scale | None = None


class ObjectMeta(BaseModel):
    """The part of `metadata` that the operator reads; the API server validates the rest."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_alias=True, extra="ignore", frozen=True)

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: str = ""
    deletion_timestamp: str = ""
