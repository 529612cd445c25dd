"""The images of a request, decoded within bounds that hold for all of them together."""

from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from modelservice_runtime.config import Settings
from modelservice_runtime.media.image import decode_image
from modelservice_runtime.media.source import make_reader
from modelservice_runtime.tasks.inputs import Conversation, ImagePrompts, InvalidInput, Item, TextPrompts

MOST_IMAGES = 16


class PictureReader:
    """Reads the images of requests; CPU pool."""

    def __init__(self, settings: Settings) -> None:
        self._source = make_reader(settings)
        self._max_pixels = settings.limits.max_pixels

    def read(self, sources: Sequence[tuple[str, str]]) -> list[Image.Image]:
        """Return the images of (source, field) pairs in RGB. Raises InvalidInput naming the field."""
        if len(sources) > MOST_IMAGES:
            raise InvalidInput(sources[MOST_IMAGES][1], f"at most {MOST_IMAGES} images are taken in one request")
        images: list[Image.Image] = []
        left = self._max_pixels
        for source, field in sources:
            images.append(decode_image(self._source.read(source, field), field, left))
            left -= images[-1].width * images[-1].height
        return images


def take_images(request: Conversation) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Return messages whose content is a list of parts, without the images' data, and the (source, field) of each.

    Raises InvalidInput for a conversation with tools, which models of images are not told about.
    """
    if request.tools:
        raise InvalidInput("tools", "this model cannot call tools; leave them out")
    bare, sources = [], []
    for index, message in enumerate(request.messages):
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for place, part in enumerate(parts):
            if part["type"] == "image":
                sources.append((part["source"], f"messages.{index}.content.{place}.image_url.url"))
        kept = [{"type": "image"} if part["type"] == "image" else part for part in parts]
        bare.append({**message, "content": kept})
    return bare, sources


def prepare_tokens(
    prepare: Callable[[TextPrompts], Sequence[Item]], tokens: Sequence[int], request: Conversation | ImagePrompts
) -> Sequence[Item]:
    """Return the generations that `prepare` makes of a prompt's tokens, naming the request's fields when it refuses."""
    try:
        return prepare(TextPrompts([tokens], request.options, request.max_tokens_field))
    except InvalidInput as error:
        own = "messages" if isinstance(request, Conversation) else "instances"
        raise InvalidInput(own if error.field == "prompt" else error.field, str(error), reason=error.reason) from None
