"""What protocols hand to tasks: plain values, free of wire formats and of torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal


class InvalidInput(ValueError):  # noqa: N818 - named for the situation
    """A request is well-formed, but this model cannot take it; `field` names the culprit."""

    def __init__(self, field: str, message: str, *, reason: str = "invalid") -> None:
        super().__init__(message)
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Grammar:
    """What an answer must look like: a JSON schema, a regular expression or a Lark grammar; `field` names its place."""

    kind: Literal["json_schema", "regex", "lark"]
    source: str
    field: str


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How to continue a prompt; `max_new_tokens` None means as far as the context and the limits allow.

    `logprobs` is how many of the likeliest tokens are told beside each chosen one; None tells nothing.
    """

    max_new_tokens: int | None
    temperature: float
    top_p: float
    top_k: int
    seed: int | None
    stop: tuple[str, ...]
    n: int
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    logprobs: int | None = None
    grammar: Grammar | None = None


@dataclass(frozen=True, slots=True)
class TextPrompts:
    """Prompts as text or as token ids."""

    prompts: Sequence[str | Sequence[int]]
    options: GenerationOptions
    max_tokens_field: str = "max_tokens"


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages for the model's chat template, and the tools that it may call, as templates expect them."""

    messages: Sequence[Mapping[str, Any]]
    options: GenerationOptions
    max_tokens_field: str = "max_tokens"
    tools: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class ImagePrompt:
    """An image as a client sent it, and text to go with it; `field` is its place in the request."""

    image: str
    prompt: str
    field: str


@dataclass(frozen=True, slots=True)
class ImagePrompts:
    """Images to be described, or asked about."""

    prompts: Sequence[ImagePrompt]
    options: GenerationOptions
    max_tokens_field: str = "max_tokens"


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts, or token ids, or pairs of texts, that an encoder reads."""

    texts: Sequence["str | Sequence[int] | TextPair"]


@dataclass(frozen=True, slots=True)
class TextPair:
    """Two texts that are read together: premise and hypothesis, question and passage."""

    text: str
    other: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A text, and those that it is compared with: a query and documents, a sentence and others."""

    text: str
    others: Sequence[str]


@dataclass(frozen=True, slots=True)
class Comparisons:
    """What a reranker reads; the result of each is one score for each of its `others`."""

    comparisons: Sequence[Comparison]
    text_field: str = "query"
    others_field: str = "documents"


@dataclass(frozen=True, slots=True)
class Candidates:
    """A text and the labels that it may have; `template` makes a label a sentence, by the `{}` in it."""

    text: str
    labels: Sequence[str]
    template: str
    multi_label: bool


@dataclass(frozen=True, slots=True)
class CandidateTexts:
    """Texts, each with labels of its own."""

    texts: Sequence[Candidates]


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and the passage that holds the answer."""

    question: str
    context: str


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions, how many answers are wanted to each, and how many tokens an answer may have."""

    questions: Sequence[Question]
    top_k: int
    max_answer_tokens: int


@dataclass(frozen=True, slots=True)
class MaskedTexts:
    """Texts with masks to fill, and how many tokens are proposed for each mask."""

    texts: Sequence[str]
    top_k: int


@dataclass(frozen=True, slots=True)
class PictureOptions:
    """How pictures are drawn; None means the model's default. `n` pictures of each prompt, seeds counted up."""

    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance: float | None = None
    negative_prompt: str = ""
    seed: int | None = None
    n: int = 1


@dataclass(frozen=True, slots=True)
class PicturePrompts:
    """Descriptions of pictures; `place` comes before the names of fields in complaints."""

    prompts: Sequence[str]
    options: PictureOptions
    place: str = ""


@dataclass(frozen=True, slots=True)
class Images:
    """Images, each a `data:` URL or base64; `place` names the field of one, `{}` standing for its index.

    `options` are the task's own, None where it has none.
    """

    sources: Sequence[str]
    place: str
    options: "DetectionOptions | MaskOptions | None" = None


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """Images, each with the sentences that name its possible labels (`texts`) and the labels themselves."""

    images: Images
    labels: Sequence[Sequence[str]]
    texts: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class DetectionOptions:
    """The score that an object must exceed to be told."""

    threshold: float


@dataclass(frozen=True, slots=True)
class MaskOptions:
    """How masks are made; `subtask` is panoptic, instance, semantic, or None for the richest that the model has."""

    subtask: str | None
    threshold: float
    mask_threshold: float
    overlap_mask_area_threshold: float


@dataclass(frozen=True, slots=True)
class Item:
    """What a scheduler is given: a value, and its cost in tokens."""

    value: Any
    cost: int


@dataclass(frozen=True, slots=True)
class Label:
    """A class and its probability."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as a PNG file, and the seed that draws it again."""

    png: bytes
    width: int
    height: int
    seed: int


@dataclass(frozen=True, slots=True)
class Vector:
    """An embedding as little-endian float32 bytes, so that base64 costs no conversion."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Detection:
    """An object in an image; the box is left, top, right, bottom in pixels of the image."""

    label: str
    score: float
    box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of an image: the pixels of `Segmentation.ids` that equal `id`. Semantic segments have no score."""

    id: int
    label: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Which segment each pixel belongs to: `ids` [height, width], an array of numpy, for an image of `size`."""

    ids: Any
    size: tuple[int, int]
    segments: Sequence[Segment]


@dataclass(frozen=True, slots=True)
class Fill:
    """A token that may stand for a mask, its probability, and the text with it in place."""

    token: str
    token_id: int
    score: float
    sequence: str


@dataclass(frozen=True, slots=True)
class Entity:
    """A stretch of a text, in characters, and what it is."""

    label: str
    score: float
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A stretch of a passage, in characters, that may be the answer."""

    text: str
    score: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """How to write down what is said.

    `language` None: whatever is heard. `segments` and `words` ask for their times. `temperature` 0 takes the likeliest
    word each time; above, `seed` makes the draws repeatable.
    """

    language: str | None = None
    prompt: str = ""
    temperature: float = 0.0
    seed: int | None = None
    translate: bool = False
    segments: bool = False
    words: bool = False


@dataclass(frozen=True, slots=True)
class Audios:
    """Recordings that a model listens to: the bytes of a file, or a string that stands for it; `fields` name them."""

    audios: Sequence[bytes | str]
    fields: Sequence[str]
    options: SpeechOptions = SpeechOptions()


@dataclass(frozen=True, slots=True)
class Span:
    """A word or a segment; `start` and `end` in seconds from the beginning of the recording.

    `tokens` and `log_probability` (the mean a token) are known for segments of models that write tokens.
    """

    text: str
    start: float
    end: float
    tokens: tuple[int, ...] = ()
    log_probability: float | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said; `seconds` is how long the recording is, `language` a code where the model knows it."""

    text: str
    seconds: float
    language: str | None = None
    language_name: str | None = None
    segments: tuple[Span, ...] = ()
    words: tuple[Span, ...] = ()
