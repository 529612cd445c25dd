"""OpenAI's `/v1/completions` and `/v1/chat/completions`: requests and answers."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field, model_validator

from modelservice_runtime.protocols.openai_content import Content, to_template_content
from modelservice_runtime.protocols.openai_format import ResponseFormat, StructuredOutputs
from modelservice_runtime.protocols.openai_tools import NamedChoice, Tool, ToolCall, ToolChoice, call_grammar, must_call
from modelservice_runtime.protocols.strict import Name, StrictBody, Text, TokenId
from modelservice_runtime.tasks.inputs import Conversation, GenerationOptions, Grammar, TextPrompts

COMPLETION_TOKENS = 16
MOST_LOGPROBS = 20
LEAVE_OUT = "leave it out"


Stop = Annotated[str, Field(min_length=1, max_length=64)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Bias = Annotated[float, Field(ge=-100, le=100)]
BiasedToken = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]


class StreamOptions(StrictBody):
    """What a stream carries besides the text."""

    unsupported: ClassVar = {"include_obfuscation": LEAVE_OUT}
    include_usage: bool = False


class GenerationBody(StrictBody):
    """What both endpoints share."""

    model: Name
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1024)] | None = None
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = None
    n: Annotated[int, Field(ge=1, le=8)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=2)] | None = None
    logit_bias: Annotated[dict[BiasedToken, Bias], Field(max_length=1024)] | None = None
    structured_outputs: StructuredOutputs | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: Annotated[str, Field(max_length=512)] | None = None

    @model_validator(mode="after")
    def _stream_options_need_stream(self) -> "GenerationBody":
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is only allowed together with stream: true")
        return self

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a chunk that carries the usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    def options(
        self, max_new_tokens: int | None, logprobs: int | None, grammar: Grammar | None = None
    ) -> GenerationOptions:
        """Return the sampling options with OpenAI's defaults filled in."""
        return GenerationOptions(
            max_new_tokens=max_new_tokens,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            top_k=self.top_k or 0,
            seed=None if self.seed is None else self.seed % (1 << 63),
            stop=(self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ()),
            n=self.n or 1,
            presence_penalty=self.presence_penalty or 0.0,
            frequency_penalty=self.frequency_penalty or 0.0,
            repetition_penalty=self.repetition_penalty or 1.0,
            logit_bias=tuple((int(token), value) for token, value in (self.logit_bias or {}).items()),
            logprobs=logprobs,
            grammar=self.structured_outputs.to_grammar() if self.structured_outputs else grammar,
        )


Prompt = Text | Annotated[list[Text], Field(min_length=1, max_length=256)]
TokenPrompt = Annotated[list[TokenId], Field(min_length=1, max_length=1 << 20)]
TokenPrompts = Annotated[list[TokenPrompt], Field(min_length=1, max_length=256)]


class CompletionRequest(GenerationBody):
    """Body of `/v1/completions`."""

    unsupported: ClassVar = {"echo": "leave it out or set it to false", "suffix": LEAVE_OUT}
    logprobs: Annotated[int, Field(ge=0, le=MOST_LOGPROBS)] | None = None
    prompt: Prompt | TokenPrompt | TokenPrompts
    max_tokens: Annotated[int, Field(ge=1, le=1 << 20)] | None = COMPLETION_TOKENS
    best_of: Literal[1] | None = None

    def to_task(self) -> TextPrompts:
        """Return what the task reads."""
        prompts: list[Any]
        if isinstance(self.prompt, str) or isinstance(self.prompt[0], int):
            prompts = [self.prompt]
        else:
            prompts = list(self.prompt)
        return TextPrompts(prompts, self.options(self.max_tokens or COMPLETION_TOKENS, self.logprobs))


class Message(StrictBody):
    """A message of a conversation; text parts of a message are joined."""

    unsupported: ClassVar = {"function_call": LEAVE_OUT, "refusal": LEAVE_OUT, "audio": LEAVE_OUT}
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content | None = None
    name: Annotated[str, Field(max_length=64)] | None = None
    tool_calls: Annotated[list[ToolCall], Field(min_length=1, max_length=128)] | None = None
    tool_call_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None

    @model_validator(mode="after")
    def _parts_fit_the_role(self) -> "Message":
        if self.tool_calls is not None and self.role != "assistant":
            raise ValueError("tool_calls belong to messages of the assistant")
        if (self.tool_call_id is not None) != (self.role == "tool"):
            raise ValueError("tool_call_id is required in messages of the role tool, and only there")
        if self.content is None and self.tool_calls is None:
            raise ValueError("content is required")
        return self

    def to_template(self) -> dict[str, Any]:
        """Return the message as chat templates expect it."""
        role = "system" if self.role == "developer" else self.role
        message: dict[str, Any] = {"role": role, "content": to_template_content(self.content or "")}
        if self.tool_calls is not None:
            message["tool_calls"] = [call.to_template() for call in self.tool_calls]
        optional = {"name": self.name, "tool_call_id": self.tool_call_id}
        return message | {key: value for key, value in optional.items() if value}


class ChatRequest(GenerationBody):
    """Body of `/v1/chat/completions`."""

    unsupported: ClassVar = dict.fromkeys(
        ("functions", "function_call", "audio", "prediction", "reasoning_effort", "verbosity", "web_search_options",
         "store", "metadata", "service_tier", "prompt_cache_key", "safety_identifier"),
        LEAVE_OUT,
    )  # fmt: skip
    messages: Annotated[list[Message], Field(min_length=1, max_length=1024)]
    max_tokens: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_LOGPROBS)] | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    modalities: list[Literal["text"]] | None = None

    @model_validator(mode="after")
    def _fields_fit_together(self) -> "ChatRequest":
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs is only allowed together with logprobs: true")
        names = self.tool_names
        if self.tool_choice not in (None, "none") and not names:
            raise ValueError("tool_choice is only allowed together with tools")
        if isinstance(self.tool_choice, NamedChoice) and self.tool_choice.function.name not in names:
            raise ValueError("tool_choice names a function that is not among tools")
        formats = (self.response_format and self.response_format.grammar(), self.structured_outputs)
        if sum(map(bool, (*formats, must_call(self.tool_choice)))) > 1:
            raise ValueError("only one of response_format, structured_outputs and a required tool can rule the answer")
        return self

    @property
    def tool_names(self) -> list[str]:
        """The functions that may be called."""
        return [] if self.tool_choice == "none" else [tool.function.name for tool in self.tools or ()]

    def to_task(self) -> Conversation:
        """Return what the task reads."""
        name = "max_tokens" if self.max_completion_tokens is None else "max_completion_tokens"
        limit = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        logprobs = (self.top_logprobs or 0) if self.logprobs else None
        tools = [tool.to_template() for tool in self.tools or ()] if self.tool_names else []
        messages = [message.to_template() for message in self.messages]
        return Conversation(messages, self.options(limit, logprobs, self._grammar()), name, tools)

    def _grammar(self) -> Grammar | None:
        if self.tools and self.tool_choice and must_call(self.tool_choice):
            return call_grammar(self.tools, self.tool_choice)
        return self.response_format.grammar() if self.response_format else None


class Usage(BaseModel):
    """Tokens that a request cost."""

    prompt_tokens: int
    completion_tokens: int = 0
    total_tokens: int


class PromptDetails(BaseModel):
    """Tokens of the prompt that were not computed, as an earlier prompt began with them."""

    cached_tokens: int = 0


class GenerationUsage(Usage):
    """Tokens that a request cost, and what was known of its prompt."""

    prompt_tokens_details: PromptDetails = PromptDetails()


FinishReason = Literal["stop", "length", "tool_calls"]


class CompletionChoice(BaseModel):
    """One text."""

    index: int
    text: str
    finish_reason: FinishReason | None
    logprobs: dict[str, Any] | None = None


class CompletionResponse(BaseModel):
    """Answer of `/v1/completions`."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: GenerationUsage | None = None


class ChatMessage(BaseModel):
    """What the model said."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    tool_calls: list[dict[str, Any]] | None = None


class ChatChoice(BaseModel):
    """One message."""

    index: int
    message: ChatMessage
    finish_reason: FinishReason
    logprobs: dict[str, Any] | None = None


class ChatResponse(BaseModel):
    """Answer of `/v1/chat/completions`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: GenerationUsage
