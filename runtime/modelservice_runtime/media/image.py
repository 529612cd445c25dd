"""Decodes images that strangers send.

A picture of a few kilobytes can unpack to gigabytes, so the size that its header states is held against a bound before
any pixel is decoded. Only formats of an allow-list are tried: Pillow knows dozens, some with a history of holes. Of an
animation the first frame is taken. What is decoded comes out as Hugging Face's pipelines see it: turned as EXIF says,
and RGB.
"""

import struct
import zlib
from io import BytesIO

from PIL import Image, ImageOps

from modelservice_runtime.tasks.inputs import InvalidInput

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)


def decode_image(data: bytes, field: str, max_pixels: int) -> Image.Image:
    """Return the image in RGB; CPU pool. Raises InvalidInput naming `field`."""
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise _too_large(field, max_pixels) from None
    except BROKEN:
        raise InvalidInput(field, f"not an image that can be read; the formats are {', '.join(FORMATS)}") from None
    width, height = image.size
    if width * height > max_pixels:
        raise _too_large(field, max_pixels)
    try:
        image.load()
        return ImageOps.exif_transpose(image).convert("RGB")
    except BROKEN:
        raise InvalidInput(field, "the image is damaged or cut short; send it again, whole") from None


def _too_large(field: str, max_pixels: int) -> InvalidInput:
    return InvalidInput(
        field,
        f"the image has more than {max_pixels} pixels; send a smaller one, or raise limits.max_pixels",
        reason="too_long",
    )
