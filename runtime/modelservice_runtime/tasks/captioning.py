"""Captions: what an image shows, in words; a prompt begins the caption and is not repeated.

A captioner is not made for conversation, yet it is asked through the same endpoint as models that are: one message with
one image.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from PIL import Image
from transformers import AutoModelForImageTextToText

from modelservice_runtime.models.captioner import Bounds, Captioner, make_captioner
from modelservice_runtime.models.device import cache_bytes, choose_placement
from modelservice_runtime.models.loader import (
    context_length,
    count_parameters,
    load_image_processor,
    load_model,
    load_tokenizer,
)
from modelservice_runtime.models.logit_rules import read_rules
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.generation import GenerationTask
from modelservice_runtime.tasks.inputs import Conversation, ImagePrompt, ImagePrompts, InvalidInput, Item
from modelservice_runtime.tasks.pictures import PictureReader, prepare_tokens, take_images

VERIFIED_TOKENS = 12


class PixelReader:
    """Turns images into the arrays that a model's tower takes; CPU pool."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def read(self, image: Image.Image) -> dict[str, Any]:
        """Return the pixel values of an image, [1, channels, height, width]."""
        return {"pixel_values": self._processor(images=[image], return_tensors="np")["pixel_values"]}

    def sample(self) -> dict[str, Any]:
        """Return the pixel values of some image."""
        return self.read(Image.new("RGB", (64, 48), "orange"))


class CaptionTask(GenerationTask):
    """Implements `LoadedTask`."""

    def __init__(
        self,
        context: TaskContext,
        tokenizer: Any,
        model: Any,
        facts: ModelFacts,
        captioner: Captioner,
        pixels: PixelReader,
    ) -> None:
        super().__init__(context, tokenizer, model, facts, captioner.runner)
        self._end_ids = captioner.end_ids
        self._captioner = captioner
        self._pixels = pixels
        self._pictures = PictureReader(context.settings)
        self._rules = read_rules(captioner.speaker, 1)

    def warm_up(self) -> None:
        """Check that batching agrees with the plain model; that also touches every weight."""
        size = min(VERIFIED_TOKENS, self._captioner.runner.max_length - 1)
        tokens = [self._captioner.start, *((7 * place + 3) % self._vocabulary for place in range(1, size))]
        self._captioner.verify(tokens)

    def prepare(self, request: Any) -> Sequence[Item]:
        """Decode the image of each prompt, check the lengths, and make `n` generations."""
        prompts = [_read(request)] if isinstance(request, Conversation) else request.prompts
        return [item for prompt in prompts for item in self._items(prompt, request)]

    def _items(self, prompt: ImagePrompt, request: Conversation | ImagePrompts) -> list[Item]:
        (image,) = self._pictures.read([(prompt.image, prompt.field)])
        begun = self._tokenizer.backend_tokenizer.encode(prompt.prompt, add_special_tokens=False).ids
        tokens = [self._captioner.start, *begun]
        extra = {
            "source": self._pixels.read(image),
            "source_tokens": self._captioner.image_tokens + len(tokens),
        }
        items = prepare_tokens(super().prepare, tokens, request)
        return [Item(replace(item.value, **extra), item.cost) for item in items]


def _read(request: Conversation) -> ImagePrompt:
    """Return the image of a conversation and the text beside it. Raises InvalidInput when it is more than that."""
    messages, sources = take_images(request)
    if len(messages) != 1 or messages[0]["role"] != "user" or len(sources) != 1:
        raise InvalidInput(
            "messages",
            "this model captions one image: send one user message with one image and, if you like, text that begins "
            "the caption",
        )
    text = "".join(part["text"] for part in messages[0]["content"] if part["type"] == "text")
    return ImagePrompt(sources[0][0], text, sources[0][1])


def load(context: TaskContext) -> CaptionTask:
    """Load tokenizer, image processor and model, and size the caches by the memory limit. Raises RuntimeFault."""
    settings = context.settings
    placement = choose_placement(settings, context.folder.checkpoint_dtype, context.resources)
    tokenizer = load_tokenizer(context.folder, settings)
    pixels = PixelReader(load_image_processor(context.folder, settings))
    model = load_model(AutoModelForImageTextToText, context.folder, settings, placement)
    length = context_length(model, settings)
    bounds = Bounds(length, settings.engine.max_concurrency, cache_bytes(placement, context.resources))
    captioner = make_captioner(model, pixels.sample(), bounds)
    facts = ModelFacts(
        count_parameters(model), placement.device, placement.dtype, captioner.runner.max_length, captioner.budget_tokens
    )
    return CaptionTask(context, tokenizer, model, facts, captioner, pixels)
