import json

import pytest

from modelservice_runtime.protocols.openai_tools import CalledFunction
from modelservice_runtime.protocols.tool_calls import ToolReader

NAMES = ("add", "stop")


def read(text: str, size: int) -> tuple[str, list[tuple[str, object]]]:
    reader = ToolReader(NAMES)
    content = "".join(reader.push(text[at : at + size]) for at in range(0, len(text), size))
    rest, calls = reader.finish()
    return content + rest, [(call.name, json.loads(call.arguments)) for call in calls]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "content", "calls"),
    [
        ('<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>', "", [("add", {"a": 1})]),
        (
            'Let me see.\n<tool_call>{"name": "add", "arguments": {}}</tool_call>\n'
            '<tool_call>{"name": "stop", "arguments": {}}</tool_call>',
            "Let me see.\n",
            [("add", {}), ("stop", {})],
        ),
        ('[TOOL_CALLS][{"name": "add", "arguments": {"a": "x"}}]', "", [("add", {"a": "x"})]),
        ('{"name": "add", "parameters": {"a": 2}}', "", [("add", {"a": 2})]),
        ('{"name": "unknown", "arguments": {}}', '{"name": "unknown", "arguments": {}}', []),
        ("<tool_call>{broken</tool_call>", "<tool_call>{broken</tool_call>", []),
        ("1 < 2 and <tool", "1 < 2 and <tool", []),
        ("plain words {not: json}", "plain words {not: json}", []),
        ("", "", []),
    ],
)
def test_calls_are_found_and_all_else_stays_content_however_the_text_arrives(
    text: str, content: str, calls: list[tuple[str, object]], size: int
) -> None:
    assert read(text, size) == (content, calls)


def test_content_is_passed_on_at_once_when_no_call_can_begin() -> None:
    reader = ToolReader(NAMES)
    assert reader.push("Hello ") == "Hello "
    assert reader.push("there <") == "there "
    assert reader.push("3") == "<3"


def test_only_the_first_call_counts_when_calls_may_not_be_parallel() -> None:
    reader = ToolReader(NAMES, parallel=False)
    reader.push('[TOOL_CALLS][{"name": "add", "arguments": {}}, {"name": "stop", "arguments": {}}]')
    assert [call.name for call in reader.finish()[1]] == ["add"]


@pytest.mark.parametrize("arguments", ["[1]", "{", "[" * 100_000, '{"a":' * 100_000])
def test_arguments_are_refused_when_they_are_no_object_or_nested_without_end(arguments: str) -> None:
    with pytest.raises(ValueError, match="must be a JSON object as text"):
        CalledFunction.model_validate({"name": "add", "arguments": arguments})
