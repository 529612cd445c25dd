"""The parts of a message's content: text, and images as OpenAI's clients send them."""

from typing import Annotated, Any, Literal

from pydantic import Field

from modelservice_runtime.protocols.strict import StrictBody, Text

MediaSource = Annotated[str, Field(min_length=1, max_length=1 << 28)]


class TextPart(StrictBody):
    """A part of a message that is text."""

    type: Literal["text"]
    text: Text


class ImageUrl(StrictBody):
    """Where an image is: a data: URL, or an address when the server may fetch it. Images are not sent in two sizes."""

    url: MediaSource
    detail: Literal["auto"] | None = None


class ImagePart(StrictBody):
    """A part of a message that is an image."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part = TextPart | ImagePart
Content = Text | Annotated[list[Part], Field(min_length=1, max_length=256)]


def to_template_content(content: str | list[Part]) -> str | list[dict[str, Any]]:
    """Return text parts joined; when images are among them, all parts as templates of vision models expect them.

    The part of an image also carries its `source`, which the task takes out.
    """
    if isinstance(content, str):
        return content
    if all(isinstance(part, TextPart) for part in content):
        return "".join(part.text for part in content if isinstance(part, TextPart))
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, TextPart)
        else {"type": "image", "source": part.image_url.url}
        for part in content
    ]
