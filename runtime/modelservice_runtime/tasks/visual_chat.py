"""Conversation about images: a language model whose prompt holds what a vision model saw.

The model's processor turns messages and images into tokens, with placeholders for the images, and arrays. From there on
it is generation like any other: sampling, streaming, stops and limits are those of text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from PIL import Image
from transformers import AutoModelForImageTextToText

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.device import cache_bytes, choose_placement
from modelservice_runtime.models.grid_decoder import GridDecoder
from modelservice_runtime.models.loader import context_length, count_parameters, load_model, load_processor
from modelservice_runtime.models.visual_decoder import TYPES, VisualDecoder
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.generation import GenerationTask
from modelservice_runtime.tasks.inputs import Conversation, ImagePrompt, ImagePrompts, InvalidInput, Item
from modelservice_runtime.tasks.pictures import PictureReader, prepare_tokens, take_images

NOT_SOURCE = ("input_ids", "attention_mask", "token_type_ids", TYPES)
IMAGE = {"type": "image"}


class VisualChatTask(GenerationTask):
    """Implements `LoadedTask`."""

    def __init__(
        self, context: TaskContext, processor: Any, model: Any, facts: ModelFacts, runner: VisualDecoder
    ) -> None:
        super().__init__(context, processor.tokenizer, model, facts, runner)
        self._processor = processor
        self._visual = runner
        self._pictures = PictureReader(context.settings)
        self._placeholder = processor.tokenizer.convert_ids_to_tokens(model.config.image_token_id)

    def warm_up(self) -> None:
        """Check that batching, with an image in the prompt, agrees with the plain model."""
        message = {"role": "user", "content": [IMAGE, {"type": "text", "text": "what is in the picture, and where"}]}
        try:
            tokens, source = self._process([message], [Image.new("RGB", (64, 48), "orange")])
        except InvalidInput as error:
            raise UnusableModel(f"the model's processor cannot take an image and a question: {error}") from error
        if len(tokens) >= self._visual.max_length:
            raise UnusableModel(
                f"one image takes {len(tokens)} tokens with its question, and the context is {self._visual.max_length}",
                hint="raise engine.maxContext or give the container more memory",
            )
        self._visual.verify(tokens, tokens[:-1], source)

    def prepare(self, request: Any) -> Sequence[Item]:
        """Decode the images, let the processor write the prompt, check the lengths, and make `n` generations."""
        if isinstance(request, Conversation):
            return self._items(*take_images(request), request)
        return [item for prompt in request.prompts for item in self._items(*_ask(prompt), request)]

    def _items(
        self,
        messages: Sequence[dict[str, Any]],
        sources: Sequence[tuple[str, str]],
        request: Conversation | ImagePrompts,
    ) -> list[Item]:
        tokens, source = self._process(messages, self._pictures.read(sources))
        items = prepare_tokens(super().prepare, tokens, request)
        return [Item(replace(item.value, source=source), item.cost) for item in items]

    def _process(
        self, messages: Sequence[Mapping[str, Any]], images: list[Image.Image]
    ) -> tuple[list[int], dict[str, Any] | None]:
        """Return the prompt's tokens and the arrays of its images, None without images."""
        texts = [part["text"] for message in messages for part in message["content"] if part["type"] == "text"]
        if any(self._placeholder in text for text in texts):
            raise InvalidInput(
                "messages", f"{self._placeholder} stands for an image in this model; leave it out of texts"
            )
        try:
            prompt = self._processor.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        except Exception as error:  # a template is a program of the model's author: it may raise anything
            raise InvalidInput(
                "messages", f"the model's chat template refuses these messages: {type(error).__name__}"
            ) from error
        if not images:
            return list(self._tokenizer.backend_tokenizer.encode(prompt, **self._special(prompt)).ids), None
        try:
            arrays = self._processor(text=[prompt], images=images, return_tensors="np", **self._special(prompt))
        except (ValueError, TypeError, IndexError, KeyError) as error:
            raise InvalidInput("messages", f"the model cannot read these images: {type(error).__name__}") from error
        tokens = [int(token) for token in arrays["input_ids"][0]]
        kept = [name for name in arrays if name not in NOT_SOURCE or name in self._visual.text_inputs]
        return tokens, {name: arrays[name] for name in kept}

    def _special(self, prompt: str) -> dict[str, bool]:
        """Say whether the tokenizer adds its special tokens: not when the template begins with one already."""
        first = self._tokenizer.bos_token
        return {"add_special_tokens": not (first and prompt.startswith(first))}


def _ask(prompt: ImagePrompt) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Return a message with one image and, when there is one, a question."""
    question = [{"type": "text", "text": prompt.prompt}] if prompt.prompt else []
    return [{"role": "user", "content": [IMAGE, *question]}], [(prompt.image, prompt.field)]


def load(context: TaskContext) -> VisualChatTask:
    """Load processor and model, and size the KV cache by the memory limit. Raises RuntimeFault."""
    settings = context.settings
    placement = choose_placement(settings, context.folder.checkpoint_dtype, context.resources)
    processor = load_processor(context.folder, settings)
    if not getattr(processor, "chat_template", None):
        raise UnusableModel(
            f"{context.folder.path} has no chat template of its processor",
            hint="add chat_template.jinja; without it nobody knows where an image belongs in a prompt",
        )
    model = load_model(AutoModelForImageTextToText, context.folder, settings, placement)
    runner = (GridDecoder if hasattr(model.model, "get_rope_index") else VisualDecoder)(
        model,
        context_length(model, settings),
        settings.engine.max_concurrency,
        cache_bytes(placement, context.resources),
    )
    facts = ModelFacts(
        count_parameters(model), placement.device, placement.dtype, runner.max_length, runner.budget_tokens
    )
    return VisualChatTask(context, processor, model, facts, runner)
