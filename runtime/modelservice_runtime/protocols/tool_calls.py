"""Finding calls in the text of an answer, whole or while it streams.

Models write calls in a few ways: `<tool_call>{...}</tool_call>` (Hermes, Qwen), `[TOOL_CALLS][{...}]` (Mistral), or the
bare JSON object with `name` and `parameters` or `arguments` (Llama 3). Text before a call is content. What looks like a
call and is none (unknown name, broken JSON) stays content: nothing that the model said is lost.
"""

import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

TAG, END_TAG, LIST = "<tool_call>", "</tool_call>", "[TOOL_CALLS]"


@dataclass(frozen=True, slots=True)
class Call:
    """One call; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str

    def to_message(self) -> dict[str, Any]:
        """Return the call as OpenAI writes it."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


class ToolReader:
    """Separates content from calls in a text that arrives in pieces.

    Without `names` there are no calls. Unless `parallel`, an answer may hold one call; of several the first counts.
    """

    def __init__(self, names: Collection[str], *, parallel: bool = True) -> None:
        self._names = frozenset(names)
        self._parallel = parallel
        self._held = ""
        self._said = False

    def push(self, text: str) -> str:
        """Take a piece; return what is certainly content."""
        if not self._names:
            return text
        self._held += text
        cut = self._begin_of_call()
        content, self._held = self._held[:cut], self._held[cut:]
        self._said = self._said or bool(content.strip())
        return content

    def finish(self) -> tuple[str, list[Call]]:
        """Return the rest of the content, and the calls."""
        calls = _read_calls(self._held.strip(), self._names)
        return ("", calls if self._parallel else calls[:1]) if calls else (self._held, [])

    def _begin_of_call(self) -> int:
        """Return from where on the text may be a call; a beginning of a tag at the end of the text counts."""
        text = self._held
        if not self._said and text.lstrip()[:1] in ("", "{", "["):
            return 0
        found = [at for tag in (TAG, LIST) if (at := text.find(tag)) >= 0]
        if found:
            return min(found)
        return len(text) - max(_overlap(text, tag) for tag in (TAG, LIST))


def _overlap(text: str, tag: str) -> int:
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:size])), 0)


def _read_calls(text: str, names: Collection[str]) -> list[Call]:
    """Return the calls of a text that is nothing but calls, none when any of it is something else."""
    if text.startswith(TAG):
        parts = [part.partition(END_TAG) for part in text.split(TAG)[1:]]
        documents = [_parse(head) for head, _, tail in parts if not tail.strip()]
        values = documents if len(documents) == len(parts) else []
    else:
        value = _parse(text.removeprefix(LIST))
        values = value if isinstance(value, list) else [value]
    calls = [_call_of(value, names) for value in values]
    return [call for call in calls if call is not None] if calls and all(calls) else []


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _call_of(value: Any, names: Collection[str]) -> Call | None:
    if not isinstance(value, dict) or value.get("name") not in names:
        return None
    arguments = value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        arguments = _parse(arguments)
    if not isinstance(arguments, dict):
        return None
    return Call(f"call_{uuid.uuid4().hex[:24]}", value["name"], json.dumps(arguments, ensure_ascii=False))
