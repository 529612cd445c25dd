"""Instances that are an image with text to go with it."""

from collections.abc import Sequence

from modelservice_runtime.protocols.instances.results import GenerationParameters
from modelservice_runtime.protocols.instances.texts import generation_options
from modelservice_runtime.protocols.openai_content import MediaSource
from modelservice_runtime.protocols.strict import StrictBody, Text
from modelservice_runtime.tasks.inputs import ImagePrompt, ImagePrompts


class ImagePromptInstance(StrictBody):
    """An image, and a question about it or the beginning of its caption."""

    image: MediaSource
    prompt: Text = ""


def build_image_prompts(instances: Sequence[ImagePromptInstance], parameters: GenerationParameters) -> ImagePrompts:
    """Return the images and prompts as a request."""
    prompts = [
        ImagePrompt(instance.image, instance.prompt, f"instances.{index}.image")
        for index, instance in enumerate(instances)
    ]
    return ImagePrompts(prompts, generation_options(parameters), "parameters.max_new_tokens")
