import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from modelservice_runtime.media.image import decode_image
from modelservice_runtime.tasks.inputs import InvalidInput

PIXELS = 1_000_000


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(width: int = 8, height: int = 4) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_bomb(width: int, height: int) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_image_is_decoded_when_its_format_is_allowed(kind: str) -> None:
    image = decode_image(encode(picture(), kind), "input", PIXELS)
    assert (image.mode, image.size) == ("RGB", (8, 4))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "LA", "I;16"])
def test_image_becomes_rgb_when_it_has_another_mode(mode: str) -> None:
    source = Image.new("I;16", (8, 4)) if mode == "I;16" else picture().convert(mode)
    assert decode_image(encode(source, "PNG"), "input", PIXELS).mode == "RGB"


def test_first_frame_is_taken_when_there_are_many() -> None:
    frames = [Image.new("RGB", (8, 4), colour) for colour in ("red", "blue")]
    image = decode_image(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]), "input", PIXELS)
    assert image.getpixel((0, 0)) == (255, 0, 0)


def test_image_is_turned_when_exif_says_so() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = decode_image(encode(picture(8, 4), "JPEG", exif=exif.tobytes()), "input", PIXELS)
    assert image.size == (4, 8)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (10_000, 10_000), (1001, 1000)])
def test_image_is_refused_before_decoding_when_its_header_states_too_many_pixels(
    width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decoded(self: Image.Image) -> None:
        raise AssertionError("a pixel was decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
    with pytest.raises(InvalidInput, match="more than 1000000 pixels") as caught:
        decode_image(png_bomb(width, height), "input.0.image", PIXELS)
    assert caught.value.field == "input.0.image"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_image_is_refused_when_it_is_cut_short(kind: str) -> None:
    whole = encode(picture(64, 64), kind)
    for share in (0.05, 0.3, 0.6, 0.9):
        with pytest.raises(InvalidInput):
            decode_image(whole[: int(len(whole) * share)], "input", PIXELS)


def test_bytes_are_refused_when_they_are_no_allowed_image() -> None:
    for data in (b"", b"hello", b"%PDF-1.4", encode(picture(), "TIFF"), encode(picture(), "PPM")):
        with pytest.raises(InvalidInput, match="formats are PNG, JPEG, WEBP, GIF, BMP"):
            decode_image(data, "input", PIXELS)


def test_nothing_but_invalid_input_is_raised_when_bytes_are_damaged() -> None:
    choose = np.random.default_rng(1)
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP"):
        whole = np.frombuffer(encode(picture(32, 32), kind), np.uint8)
        for _ in range(60):
            damaged = whole.copy()
            damaged[choose.integers(0, len(whole), 6)] = choose.integers(0, 255, 6)
            try:
                assert decode_image(damaged.tobytes(), "input", PIXELS).mode == "RGB"
            except InvalidInput:
                continue
