"""Questions and structures by which a chat model is tried through HTTP."""

import json
from typing import Any, Protocol

FACTS = (("What is the capital of France?", "Paris"), ("What are the three primary colors?", "Blue"))
SUBJECTS = ("a cat", "Paris", "the sea", "an old car", "bread")
SCHEMAS: tuple[dict[str, Any], ...] = (
    {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 24}, "size": {"enum": ["small", "medium", "large"]}},
        "required": ["name", "size"],
        "additionalProperties": False,
    },
    {"type": "array", "items": {"type": "string", "maxLength": 12}, "minItems": 1, "maxItems": 3},
    {
        "type": "object",
        "properties": {
            "price": {"type": "number", "minimum": 0, "maximum": 1000},
            "alive": {"type": "boolean"},
            "tags": {"type": "array", "items": {"enum": ["red", "soft", "loud"]}, "maxItems": 2},
        },
        "required": ["price", "alive", "tags"],
        "additionalProperties": False,
    },
    {"type": "object", "properties": {"answer": {"const": "yes"}}, "required": ["answer"]},
)
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"{verb} in a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "maxLength": 20}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
    for name, verb in (("get_weather", "The weather"), ("get_time", "The time"))
]


class Ask(Protocol):
    """Posts to `/v1/chat/completions` and returns the first choice."""

    def __call__(self, **body: Any) -> dict[str, Any]: ...


def share_of_facts(ask: Ask) -> float:
    """The share of questions whose answer has the right word in it."""
    right = [
        word in ask(messages=_user(question), temperature=0, max_tokens=48)["message"]["content"]
        for question, word in FACTS
    ]
    return sum(right) / len(right)


def share_of_valid_json(ask: Ask) -> float:
    """The share of answers that follow the schema that was asked for, of every subject in every schema."""
    valid = [_follows(_answer(ask, subject, schema), schema) for subject in SUBJECTS for schema in SCHEMAS]
    return sum(valid) / len(valid)


def share_of_parsed_calls(ask: Ask) -> float:
    """The share of questions with a required tool that are answered by one call with all of its arguments."""
    right = []
    for city in ("Rome", "Oslo", "Lima"):
        choice = ask(
            messages=_user(f"What is the weather in {city}?"), tools=TOOLS, tool_choice="required", max_tokens=96
        )
        calls = choice["message"]["tool_calls"] or []
        right.append(len(calls) == 1 and set(json.loads(calls[0]["function"]["arguments"])) == {"city"})
    return sum(right) / len(right)


def _user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _answer(ask: Ask, subject: str, schema: dict[str, Any]) -> str:
    form = {"type": "json_schema", "json_schema": {"name": "thing", "schema": schema, "strict": True}}
    choice = ask(messages=_user(f"Describe {subject} as JSON."), response_format=form, seed=7, max_tokens=160)
    return str(choice["message"]["content"])


def _follows(text: str, schema: dict[str, Any]) -> bool:
    import jsonschema_rs  # noqa: PLC0415 - the small environment of quickstart lacks it

    try:
        return jsonschema_rs.is_valid(schema, json.loads(text))
    except ValueError:
        return False
