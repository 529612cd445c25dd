"""Telling a model about tools whose chat template knows nothing of them.

Most templates render tools in the way that their model was trained on. For the others the descriptions become a system
message, calls and results become plain messages in the tags that most models use, so that small models may try.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

INTRODUCTION = (
    'You can call functions. To call one, answer with nothing but a JSON object that has the keys "name" and '
    '"arguments", between <tool_call> and </tool_call>. The functions are:'
)


def knows_tools(template: Any) -> bool:
    """Tell whether a chat template (one, or several by name) renders tools."""
    texts = template.values() if isinstance(template, Mapping) else [template]
    return any("tools" in str(text) for text in texts)


def describe_tools(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages with the tools in the system message, and with calls and results as text."""
    described = "\n".join([INTRODUCTION, *(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)])
    plain = [_plain(message) for message in messages]
    if plain and plain[0]["role"] == "system":
        return [{**plain[0], "content": f"{plain[0]['content']}\n\n{described}"}, *plain[1:]]
    return [{"role": "system", "content": described}, *plain]


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in message.items() if key not in ("tool_calls", "tool_call_id")}
    if message["role"] == "tool":
        return {**kept, "role": "user", "content": f"<tool_response>{message['content']}</tool_response>"}
    calls = [json.dumps(call["function"], ensure_ascii=False) for call in message.get("tool_calls", ())]
    tagged = "\n".join(f"<tool_call>{call}</tool_call>" for call in calls)
    return {**kept, "content": "\n".join(part for part in (message["content"], tagged) if part)}
