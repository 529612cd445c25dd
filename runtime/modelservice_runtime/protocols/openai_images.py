"""OpenAI's `/v1/images/generations`, with what diffusion models take besides."""

import base64
import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field, field_validator
from pydantic_core import PydanticCustomError

from modelservice_runtime.protocols.strict import Name, StrictBody
from modelservice_runtime.tasks.inputs import Picture, PictureOptions, PicturePrompts

MOST_PICTURES = 10
SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
LEAVE_OUT = "leave it out"

Prompt = Annotated[str, Field(min_length=1, max_length=32_000)]
NegativePrompt = Annotated[str, Field(max_length=32_000)]
Size = Annotated[str, Field(pattern=rf"^(auto|{SIZE.pattern})$", examples=["512x512"])]
Seed = Annotated[int, Field(ge=0, lt=1 << 63)]
Steps = Annotated[int, Field(ge=1, le=10_000)]
Guidance = Annotated[float, Field(ge=0, le=50)]


class ImageRequest(StrictBody):
    """Body of `/v1/images/generations`.

    `negative_prompt`, `seed`, `num_inference_steps` and `guidance_scale` are not OpenAI's. Picture i of `n` is drawn
    from seed + i.
    """

    unsupported: ClassVar = {
        "partial_images": "leave it out; with stream: true every step is told",
        "moderation": "leave it out; pictures are not checked",
        **dict.fromkeys(
            ("complexity", "frame_count", "frame_duration_ms", "output_compression",
             "safety_identifier", "style", "svg"),
            LEAVE_OUT,
        ),
    }  # fmt: skip
    model: Name
    prompt: Prompt
    n: Annotated[int, Field(ge=1, le=MOST_PICTURES)] | None = None
    size: Size | None = None
    response_format: Literal["b64_json"] | None = None
    output_format: Literal["png"] | None = None
    background: Literal["auto", "opaque"] | None = None
    quality: Literal["auto", "standard"] | None = None
    stream: bool | None = None
    seed: Seed | None = None
    negative_prompt: NegativePrompt | None = None
    num_inference_steps: Steps | None = None
    guidance_scale: Guidance | None = None
    user: Annotated[str, Field(max_length=512)] | None = None

    @field_validator("response_format", mode="before")
    @classmethod
    def _refuse_url(cls, value: Any) -> Any:
        if value == "url":
            raise PydanticCustomError("no_url", "url is not supported, since no pictures are kept; use b64_json")
        return value

    def to_task(self) -> PicturePrompts:
        """Return what the task reads."""
        width, height = parse_size(self.size)
        options = PictureOptions(
            width=width,
            height=height,
            steps=self.num_inference_steps,
            guidance=self.guidance_scale,
            negative_prompt=self.negative_prompt or "",
            seed=self.seed,
            n=self.n or 1,
        )
        return PicturePrompts([self.prompt], options)


class ImageUsage(BaseModel):
    """Tokens of the prompt; pictures are counted in steps, not in tokens."""

    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int = 0
    total_tokens: int


class ImageData(BaseModel):
    """One picture, and the seed that draws it again."""

    b64_json: str
    seed: int


class ImagesResponse(BaseModel):
    """Answer of `/v1/images/generations`."""

    created: int
    data: list[ImageData]
    output_format: Literal["png"] = "png"
    size: str
    usage: ImageUsage


def parse_size(size: str | None) -> tuple[int, int] | tuple[None, None]:
    """Return width and height; None stands for the model's own."""
    match = SIZE.fullmatch(size or "")
    return (int(match[1]), int(match[2])) if match else (None, None)


def encode_png(picture: Picture) -> str:
    """Return a picture as base64."""
    return base64.b64encode(picture.png).decode("ascii")


def count_usage(prompt_tokens: int) -> ImageUsage:
    """Return the usage of a request."""
    return ImageUsage(
        input_tokens=prompt_tokens,
        input_tokens_details={"text_tokens": prompt_tokens, "image_tokens": 0},
        total_tokens=prompt_tokens,
    )
