"""What an answer must look like: `response_format`, and the extensions that vLLM's users know.

`response_format` takes OpenAI's `text`, `json_object` and `json_schema`. The extension `structured_outputs` takes one
of `json`, `regex`, `choice` and `grammar` (Lark).
"""

import json
import re
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from modelservice_runtime.protocols.strict import StrictBody
from modelservice_runtime.tasks.inputs import Grammar

JSON_OBJECT = {"type": "object"}
Schema = dict[str, Any]


class JsonSchema(StrictBody):
    """A named JSON schema. The answer always follows it; `strict` changes nothing."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    description: Annotated[str, Field(max_length=4096)] | None = None
    schema_: Annotated[Schema | None, Field(alias="schema")] = None
    strict: bool | None = None


class ResponseFormat(StrictBody):
    """OpenAI's `response_format`."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _schema_belongs_to_its_type(self) -> "ResponseFormat":
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema is required by type json_schema, and only by it")
        return self

    def grammar(self) -> Grammar | None:
        """Return the grammar, None for free text."""
        if self.json_schema is not None:
            schema = self.json_schema.schema_ if self.json_schema.schema_ is not None else JSON_OBJECT
            return Grammar("json_schema", json.dumps(schema), "response_format.json_schema.schema")
        return (
            Grammar("json_schema", json.dumps(JSON_OBJECT), "response_format") if self.type == "json_object" else None
        )


class StructuredOutputs(StrictBody):
    """Exactly one way to say what the answer must look like."""

    json_: Annotated[Schema | None, Field(alias="json")] = None
    regex: Annotated[str, Field(min_length=1, max_length=65_536)] | None = None
    choice: Annotated[list[Annotated[str, Field(min_length=1, max_length=1024)]], Field(min_length=1)] | None = None
    grammar: Annotated[str, Field(min_length=1, max_length=65_536)] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "StructuredOutputs":
        if sum(value is not None for value in (self.json_, self.regex, self.choice, self.grammar)) != 1:
            raise ValueError("give exactly one of json, regex, choice and grammar")
        return self

    def to_grammar(self) -> Grammar:
        """Return the grammar."""
        if self.json_ is not None:
            return Grammar("json_schema", json.dumps(self.json_), "structured_outputs.json")
        if self.regex is not None:
            return Grammar("regex", self.regex, "structured_outputs.regex")
        if self.choice is not None:
            return Grammar("regex", "|".join(re.escape(word) for word in self.choice), "structured_outputs.choice")
        return Grammar("lark", self.grammar or "", "structured_outputs.grammar")
