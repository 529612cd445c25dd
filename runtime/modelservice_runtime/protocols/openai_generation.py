"""OpenAI's `/v1/completions` and `/v1/chat/completions`: requests and answers."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field, model_validator

from modelservice_runtime.protocols.openai_content import Content, to_template_content
from modelservice_runtime.protocols.strict import Name, StrictBody, Text, TokenId
from modelservice_runtime.tasks.inputs import Conversation, GenerationOptions, TextPrompts

COMPLETION_TOKENS = 16
LEAVE_OUT = "leave it out"


Stop = Annotated[str, Field(min_length=1, max_length=64)]


class StreamOptions(StrictBody):
    """What a stream carries besides the text."""

    unsupported: ClassVar = {"include_obfuscation": LEAVE_OUT}
    include_usage: bool = False


class GenerationBody(StrictBody):
    """What both endpoints share."""

    unsupported: ClassVar = {
        "logit_bias": LEAVE_OUT,
        "presence_penalty": "leave it out or set it to 0",
        "frequency_penalty": "leave it out or set it to 0",
    }
    model: Name
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1024)] | None = None
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = None
    n: Annotated[int, Field(ge=1, le=8)] | None = None
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

    def options(self, max_new_tokens: int | None) -> GenerationOptions:
        """Return the sampling options with OpenAI's defaults filled in."""
        return GenerationOptions(
            max_new_tokens=max_new_tokens,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            top_k=self.top_k or 0,
            seed=None if self.seed is None else self.seed % (1 << 63),
            stop=(self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ()),
            n=self.n or 1,
        )


Prompt = Text | Annotated[list[Text], Field(min_length=1, max_length=256)]
TokenPrompt = Annotated[list[TokenId], Field(min_length=1, max_length=1 << 20)]
TokenPrompts = Annotated[list[TokenPrompt], Field(min_length=1, max_length=256)]


class CompletionRequest(GenerationBody):
    """Body of `/v1/completions`."""

    unsupported: ClassVar = {
        **GenerationBody.unsupported,
        "logprobs": LEAVE_OUT,
        "echo": "leave it out or set it to false",
        "suffix": LEAVE_OUT,
    }
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
        return TextPrompts(prompts, self.options(self.max_tokens or COMPLETION_TOKENS))


class Message(StrictBody):
    """A message of a conversation; parts of a message are joined."""

    unsupported: ClassVar = {
        "tool_calls": LEAVE_OUT,
        "function_call": LEAVE_OUT,
        "refusal": LEAVE_OUT,
        "audio": LEAVE_OUT,
    }
    role: Literal["system", "developer", "user", "assistant"]
    content: Content
    name: Annotated[str, Field(max_length=64)] | None = None

    def to_template(self) -> dict[str, Any]:
        """Return the message as chat templates expect it."""
        role = "system" if self.role == "developer" else self.role
        content = to_template_content(self.content)
        return {"role": role, "content": content} | ({"name": self.name} if self.name else {})


class ResponseFormat(StrictBody):
    """Only free text."""

    type: Literal["text"]


class ChatRequest(GenerationBody):
    """Body of `/v1/chat/completions`."""

    unsupported: ClassVar = {
        **GenerationBody.unsupported,
        **dict.fromkeys(
            ("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "logprobs", "top_logprobs",
             "audio", "prediction", "reasoning_effort", "verbosity", "web_search_options", "store", "metadata",
             "service_tier", "prompt_cache_key", "safety_identifier"),
            LEAVE_OUT,
        ),
    }  # fmt: skip
    messages: Annotated[list[Message], Field(min_length=1, max_length=1024)]
    max_tokens: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    response_format: ResponseFormat | None = None
    modalities: list[Literal["text"]] | None = None

    def to_task(self) -> Conversation:
        """Return what the task reads."""
        name = "max_tokens" if self.max_completion_tokens is None else "max_completion_tokens"
        limit = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        return Conversation([message.to_template() for message in self.messages], self.options(limit), name)


class Usage(BaseModel):
    """Tokens that a request cost."""

    prompt_tokens: int
    completion_tokens: int = 0
    total_tokens: int


FinishReason = Literal["stop", "length"]


class CompletionChoice(BaseModel):
    """One text."""

    index: int
    text: str
    finish_reason: FinishReason | None
    logprobs: None = None


class CompletionResponse(BaseModel):
    """Answer of `/v1/completions`."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None = None


class ChatMessage(BaseModel):
    """What the model said."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChatChoice(BaseModel):
    """One message."""

    index: int
    message: ChatMessage
    finish_reason: FinishReason
    logprobs: None = None


class ChatResponse(BaseModel):
    """Answer of `/v1/chat/completions`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
