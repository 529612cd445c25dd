"""Instances that describe a picture, and pictures as JSON values."""

from collections.abc import Sequence
from typing import Any

from modelservice_runtime.protocols.openai_images import (
    Guidance,
    NegativePrompt,
    Prompt,
    Seed,
    Size,
    Steps,
    encode_png,
    parse_size,
)
from modelservice_runtime.protocols.strict import StrictBody
from modelservice_runtime.tasks.inputs import Picture, PictureOptions, PicturePrompts


class PicturePromptInstance(StrictBody):
    """A description of a picture."""

    prompt: Prompt


class PictureParameters(StrictBody):
    """How pictures are drawn; without a value the model's own. Picture i is drawn from seed + i."""

    size: Size | None = None
    num_inference_steps: Steps | None = None
    guidance_scale: Guidance | None = None
    negative_prompt: NegativePrompt = ""
    seed: Seed | None = None


def build_picture_prompts(instances: Sequence[PicturePromptInstance], parameters: PictureParameters) -> PicturePrompts:
    """Return the descriptions as the task's request."""
    width, height = parse_size(parameters.size)
    options = PictureOptions(
        width=width,
        height=height,
        steps=parameters.num_inference_steps,
        guidance=parameters.guidance_scale,
        negative_prompt=parameters.negative_prompt,
        seed=parameters.seed,
    )
    return PicturePrompts([instance.prompt for instance in instances], options, "parameters.")


def write_picture(result: Picture, _parameters: PictureParameters) -> dict[str, Any]:
    """Return a picture as a PNG file in base64, and the seed that draws it again."""
    return {"image": encode_png(result), "seed": result.seed}
