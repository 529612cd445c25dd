"""From pydantic's JSON schema to the structural schema of a CustomResourceDefinition.

The API server takes a subset of JSON schema: no references, no `const`, no closed objects, no unions but the marked one
of numbers and strings. What pydantic writes is translated where the subset has a word for it, and dropped
where it has none and loses nothing; anything else raises, so that a type which cannot be expressed is found when the
CRD is generated and not by the API server.
"""

from typing import Any, Final

from pydantic import BaseModel

from modelservice_operator.api.markers import SERVER_DEFAULT

Schema = dict[str, Any]

_DROPPED: Final = frozenset({"title", "default", "examples", "$defs", SERVER_DEFAULT})
_KEPT: Final = frozenset(
    {
        "type", "format", "description", "required", "enum", "pattern",
        "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minimum", "maximum",
        "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys", "x-kubernetes-map-type", "x-kubernetes-validations",
    }
)  # fmt: skip
_ORDER: Final = ("description", "type", "format", "default")


class NotStructuralError(TypeError):
    """A schema says something that a CustomResourceDefinition cannot."""


def structural_schema(model: type[BaseModel]) -> Schema:
    """The structural schema of a model, with references resolved and keys in a fixed order.

    Raises NotStructuralError, naming the place, for a type that the API server has no word for.
    """
    schema = model.model_json_schema(by_alias=True)
    return _translate(schema, schema.get("$defs", {}), model.__name__)


def _translate(schema: Schema, definitions: dict[str, Schema], place: str) -> Schema:
    schema = _without_null(_resolved(schema, definitions), definitions, place)
    result: Schema = {}
    if SERVER_DEFAULT in schema:
        result["default"] = schema[SERVER_DEFAULT]
    for key, value in schema.items():
        if key in _KEPT:
            result[key] = " ".join(value.split()) if key == "description" else value
        elif key not in _DROPPED:
            result.update(_translate_key(key, value, definitions, place))
    return _ordered(result)


def _translate_key(key: str, value: Any, definitions: dict[str, Schema], place: str) -> Schema:
    if key == "properties":
        return {key: {name: _translate(field, definitions, f"{place}.{name}") for name, field in value.items()}}
    if key == "items":
        return {key: _translate(value, definitions, f"{place}[]")}
    if key == "additionalProperties":
        return {} if value is False else {key: _translate(value, definitions, f"{place}{{}}")}
    if key == "const":
        return {"enum": [value]}
    raise NotStructuralError(f"{place}: a CustomResourceDefinition has no {key}; mark the field or change its type")


def _resolved(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """The schema behind a reference; what stands beside the reference, such as a description, wins."""
    if "$ref" not in schema:
        return schema
    target = definitions[schema["$ref"].rpartition("/")[2]]
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return {**_resolved(target, definitions), **beside}


def _without_null(schema: Schema, definitions: dict[str, Schema], place: str) -> Schema:
    """The one branch of `anyOf` that is not null: an optional field is left out rather than null."""
    if "anyOf" not in schema:
        return schema
    branches = [branch for branch in schema["anyOf"] if branch.get("type") != "null"]
    if len(branches) != 1:
        raise NotStructuralError(
            f"{place}: a CustomResourceDefinition has no unions; use IntOrString or separate fields"
        )
    beside = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**_resolved(branches[0], definitions), **beside}


def _ordered(schema: Schema) -> Schema:
    first = {key: schema[key] for key in _ORDER if key in schema}
    return {**first, **{key: schema[key] for key in sorted(schema) if key not in first}}
