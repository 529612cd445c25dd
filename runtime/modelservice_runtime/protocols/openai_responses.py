"""OpenAI's `/v1/responses`: the request, and how its items become a conversation.

A subset: each request carries the whole conversation, because nothing is stored here. What a client got as `output` may
be sent back as it is, in front of the next message or of the result of a function.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from modelservice_runtime.protocols.openai_content import MediaSource
from modelservice_runtime.protocols.openai_response_format import TextOptions
from modelservice_runtime.protocols.openai_tools import (
    CalledFunction,
    ChosenFunction,
    FunctionDefinition,
    FunctionName,
    NamedChoice,
    Tool,
    ToolChoice,
    call_grammar,
    must_call,
)
from modelservice_runtime.protocols.strict import Name, StrictBody, Text
from modelservice_runtime.tasks.inputs import Conversation, GenerationOptions, Grammar

LEAVE_OUT = "leave it out"
SEND_ALL = "nothing is stored here: send the whole conversation as input"
Identifier = Annotated[str, Field(min_length=1, max_length=128)]
Status = Literal["in_progress", "completed", "incomplete"]
MetadataKey = Annotated[str, Field(max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512)]


class WrittenText(StrictBody):
    """A part of a message that is text, of the user or from an earlier answer."""

    unsupported: ClassVar = {"annotations": LEAVE_OUT, "logprobs": LEAVE_OUT}
    type: Literal["input_text", "output_text"]
    text: Text


class ShownImage(StrictBody):
    """A part of a message that is an image: a data: URL, or an address when the server may fetch it."""

    unsupported: ClassVar = {"file_id": "send the image as image_url"}
    type: Literal["input_image"]
    image_url: MediaSource
    detail: Literal["auto"] | None = None


class InputMessage(StrictBody):
    """A message; `id` and `status` are those of an earlier answer and mean nothing here."""

    unsupported: ClassVar = {"phase": LEAVE_OUT}
    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Annotated[list[WrittenText | ShownImage], Field(min_length=1, max_length=256)]
    id: Identifier | None = None
    status: Status | None = None

    def to_template(self) -> dict[str, Any]:
        """Return the message as chat templates expect it."""
        role = "system" if self.role == "developer" else self.role
        if isinstance(self.content, str):
            return {"role": role, "content": self.content}
        texts = [part.text for part in self.content if isinstance(part, WrittenText)]
        if len(texts) == len(self.content):
            return {"role": role, "content": "".join(texts)}
        parts = [
            {"type": "text", "text": part.text}
            if isinstance(part, WrittenText)
            else {"type": "image", "source": part.image_url}
            for part in self.content
        ]
        return {"role": role, "content": parts}


class FunctionCall(CalledFunction):
    """A function that the model called in an earlier answer."""

    unsupported: ClassVar = dict.fromkeys(("async", "caller", "namespace"), LEAVE_OUT)
    type: Literal["function_call"]
    call_id: Identifier
    id: Identifier | None = None
    status: Status | None = None


class FunctionResult(StrictBody):
    """What a called function returned."""

    type: Literal["function_call_output"]
    call_id: Identifier
    output: Text | Annotated[list[WrittenText], Field(min_length=1, max_length=256)]
    id: Identifier | None = None
    status: Status | None = None

    def to_template(self) -> dict[str, Any]:
        """Return the result as chat templates expect it."""
        text = self.output if isinstance(self.output, str) else "".join(part.text for part in self.output)
        return {"role": "tool", "tool_call_id": self.call_id, "content": text}


def _kind_of(item: Any) -> str:
    """Return the tag of an item; a message may leave its type out. Upper case keeps tags out of the names of fields."""
    kind = item.get("type") if isinstance(item, dict) else getattr(item, "type", None)
    return str(kind or "message").upper()


InputItem = Annotated[
    Annotated[InputMessage, Tag("MESSAGE")]
    | Annotated[FunctionCall, Tag("FUNCTION_CALL")]
    | Annotated[FunctionResult, Tag("FUNCTION_CALL_OUTPUT")],
    Discriminator(
        _kind_of,
        custom_error_type="item",
        custom_error_message="an item is a message, a function_call or a function_call_output",
    ),
]


class FlatTool(StrictBody):
    """A function that may be called, in the flat form of this endpoint. `strict` changes nothing."""

    type: Literal["function"]
    name: FunctionName
    description: Annotated[str, Field(max_length=16_384)] | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    def to_tool(self) -> Tool:
        """Return the same in the form of chat completions."""
        return Tool(type="function", function=FunctionDefinition(**self.model_dump(exclude={"type"})))


class FlatChoice(StrictBody):
    """The one function that must be called."""

    type: Literal["function"]
    name: FunctionName


class StreamOptions(StrictBody):
    """Nothing can be chosen."""

    unsupported: ClassVar = {"include_obfuscation": LEAVE_OUT}


class ResponsesRequest(StrictBody):
    """Body of `/v1/responses`."""

    unsupported: ClassVar = {
        **dict.fromkeys(("previous_response_id", "conversation", "store", "background", "prompt"), SEND_ALL),
        **dict.fromkeys(
            ("include", "top_logprobs", "reasoning", "max_tool_calls", "service_tier", "safety_identifier",
             "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "context_management", "moderation",
             "access_programs", "background_options", "image"),
            LEAVE_OUT,
        ),
    }  # fmt: skip
    model: Name
    input: Text | Annotated[list[InputItem], Field(min_length=1, max_length=1024)]
    instructions: Text | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    text: TextOptions | None = None
    tools: Annotated[list[FlatTool], Field(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | FlatChoice | None = None
    parallel_tool_calls: bool | None = None
    truncation: Literal["disabled"] | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: Annotated[str, Field(max_length=512)] | None = None

    @model_validator(mode="after")
    def _fields_fit_together(self) -> "ResponsesRequest":
        if self.tool_choice not in (None, "none") and not self.tool_names:
            raise ValueError("tool_choice is only allowed together with tools")
        if isinstance(self.tool_choice, FlatChoice) and self.tool_choice.name not in self.tool_names:
            raise ValueError("tool_choice names a function that is not among tools")
        if must_call(self._choice) and self.text is not None and self.text.grammar() is not None:
            raise ValueError("only one of text.format and a required tool can rule the answer")
        return self

    @property
    def tool_names(self) -> list[str]:
        """The functions that may be called."""
        return [] if self.tool_choice == "none" else [tool.name for tool in self.tools or ()]

    @property
    def _choice(self) -> ToolChoice | None:
        if isinstance(self.tool_choice, FlatChoice):
            return NamedChoice(type="function", function=ChosenFunction(name=self.tool_choice.name))
        return self.tool_choice

    def to_task(self) -> Conversation:
        """Return what the task reads."""
        options = GenerationOptions(
            max_new_tokens=self.max_output_tokens,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            top_k=0,
            seed=None,
            stop=(),
            n=1,
            grammar=self._grammar(),
        )
        tools = [tool.to_tool().to_template() for tool in self.tools or ()] if self.tool_names else []
        return Conversation(self._messages(), options, "max_output_tokens", tools)

    def _grammar(self) -> Grammar | None:
        choice = self._choice
        if self.tools and choice is not None and must_call(choice):
            return call_grammar([tool.to_tool() for tool in self.tools], choice)
        return self.text.grammar() if self.text else None

    def _messages(self) -> list[dict[str, Any]]:
        """Return the conversation; calls join the message of the assistant before them."""
        messages: list[dict[str, Any]] = []
        if self.instructions:
            messages.append({"role": "system", "content": self.instructions})
        items = [InputMessage(role="user", content=self.input)] if isinstance(self.input, str) else self.input
        for item in items:
            if not isinstance(item, FunctionCall):
                messages.append(item.to_template())
                continue
            if not messages or messages[-1]["role"] != "assistant":
                messages.append({"role": "assistant", "content": ""})
            messages[-1].setdefault("tool_calls", []).append(item.to_template(item.call_id))
        return messages
