"""Parameters of a V2 request: strings, numbers and booleans, some of which stand for the server's own business.

The protocol has no lists, so a parameter that takes one (`stop`) may be given as JSON in a string, or as one string.
"""

import json
from collections.abc import Mapping
from typing import Any

from modelservice_runtime.protocols.instances import GIVES
from modelservice_runtime.tasks.inputs import InvalidInput

BINARY_OUTPUT = "binary_data_output"
UNSUPPORTED = ("sequence_id", "sequence_start", "sequence_end", "priority", "timeout")


def read_parameters(gives: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that are meant for the task. Raises InvalidInput naming one that is not supported."""
    for name in UNSUPPORTED:
        if given.get(name) not in (None, 0, False):
            raise InvalidInput(f"parameters.{name}", "not supported by this server; leave it out")
    properties = GIVES[gives].parameters.model_json_schema().get("properties", {})
    return {
        name: _unfold(value, properties.get(name, {}))
        for name, value in given.items()
        if name not in (*UNSUPPORTED, BINARY_OUTPUT)
    }


def _unfold(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return the list or object that a string stands for, where one is expected."""
    types = {option.get("type", "object") for option in schema.get("anyOf", [schema])} if schema else {"string"}
    if not isinstance(value, str) or "string" in types or not types & {"array", "object"}:
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return [value] if "array" in types else value
