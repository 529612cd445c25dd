"""What the text of a response must look like: `text.format` of `/v1/responses`."""

import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from modelservice_runtime.protocols.openai_format import JSON_OBJECT
from modelservice_runtime.protocols.strict import StrictBody
from modelservice_runtime.tasks.inputs import Grammar


class PlainText(StrictBody):
    """Free text."""

    type: Literal["text"]


class JsonObject(StrictBody):
    """Any JSON object."""

    type: Literal["json_object"]


class JsonSchemaFormat(StrictBody):
    """A JSON schema, which the answer always follows; `strict` changes nothing."""

    type: Literal["json_schema"]
    name: Annotated[str, Field(min_length=1, max_length=64)]
    description: Annotated[str, Field(max_length=4096)] | None = None
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class TextOptions(StrictBody):
    """The form of the text."""

    unsupported: ClassVar = {"verbosity": "leave it out"}
    format: Annotated[PlainText | JsonObject | JsonSchemaFormat, Field(discriminator="type")] | None = None

    def grammar(self) -> Grammar | None:
        """Return the grammar, None for free text."""
        match self.format:
            case JsonSchemaFormat():
                return Grammar("json_schema", json.dumps(self.format.schema_), "text.format.schema")
            case JsonObject():
                return Grammar("json_schema", json.dumps(JSON_OBJECT), "text.format")
            case _:
                return None
