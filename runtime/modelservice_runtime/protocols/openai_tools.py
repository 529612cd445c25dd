"""Functions that a model may call: their descriptions, the choice among them, and calls in messages."""

import json
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from modelservice_runtime.protocols.strict import StrictBody, Text
from modelservice_runtime.tasks.inputs import Grammar

FunctionName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class FunctionDefinition(StrictBody):
    """A function: its name, what it is for, and the JSON schema of its arguments. `strict` changes nothing."""

    name: FunctionName
    description: Annotated[str, Field(max_length=16_384)] | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(StrictBody):
    """A tool; functions are the only kind."""

    type: Literal["function"]
    function: FunctionDefinition

    def to_template(self) -> dict[str, Any]:
        """Return the tool as chat templates expect it."""
        function = self.function
        return {
            "type": "function",
            "function": {
                "name": function.name,
                "description": function.description or "",
                "parameters": function.parameters or {"type": "object", "properties": {}},
            },
        }


class ChosenFunction(StrictBody):
    """The name of a function."""

    name: FunctionName


class NamedChoice(StrictBody):
    """The one function that must be called."""

    type: Literal["function"]
    function: ChosenFunction


ToolChoice = Literal["none", "auto", "required"] | NamedChoice


class CalledFunction(StrictBody):
    """A function that the assistant called; `arguments` is a JSON object as text."""

    name: FunctionName
    arguments: Text

    @field_validator("arguments")
    @classmethod
    def _is_object(cls, value: str) -> str:
        try:
            parsed = json.loads(value or "{}")
        except (ValueError, RecursionError):
            parsed = None
        if not isinstance(parsed, dict):
            raise ValueError("must be a JSON object as text")
        return value

    def to_template(self, identifier: str) -> dict[str, Any]:
        """Return the call as chat templates expect it, its arguments as an object."""
        arguments = json.loads(self.arguments or "{}")
        return {"id": identifier, "type": "function", "function": {"name": self.name, "arguments": arguments}}


class ToolCall(StrictBody):
    """A call in an earlier message of the assistant."""

    id: Annotated[str, Field(min_length=1, max_length=128)]
    type: Literal["function"]
    function: CalledFunction

    def to_template(self) -> dict[str, Any]:
        """Return the call as chat templates expect it."""
        return self.function.to_template(self.id)


def must_call(choice: ToolChoice | None) -> bool:
    """Tell whether the answer has to be a call."""
    return choice == "required" or isinstance(choice, NamedChoice)


def call_grammar(tools: list[Tool], choice: ToolChoice) -> Grammar:
    """Return the grammar of an answer that is one call of one of the tools, or of the chosen one."""
    names = [choice.function.name] if isinstance(choice, NamedChoice) else [tool.function.name for tool in tools]
    calls = [_call_schema(tool.function) for tool in tools if tool.function.name in names]
    schema = calls[0] if len(calls) == 1 else {"anyOf": calls}
    return Grammar("json_schema", json.dumps(schema), "tools")


def _call_schema(function: FunctionDefinition) -> dict[str, Any]:
    arguments = function.parameters or {"type": "object", "properties": {}, "additionalProperties": False}
    return {
        "type": "object",
        "properties": {"name": {"const": function.name}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }
