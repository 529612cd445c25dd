"""The inputs on which a model is measured: those of `--samples`, or a few that come with this package.

A text stands for itself. Pictures and sounds that come along are drawn from fixed seeds: they tell whether two models
agree and how fast they are, not how good they are, so own samples mean more. Samples are kept as clients send them:
texts, or the bytes of files.
"""

import base64
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]
from PIL import Image

from modelservice_runtime.errors import BadSettings

MOST = 64
LONGEST_FILE = 32 << 20
PICTURES, SOUNDS = 12, 4
RATE = 16_000
BUILT_IN = "built in"
TEXTS = (
    "The committee will meet on Thursday to discuss the budget for the coming year.",
    "I waited forty minutes for a cold soup, and nobody even apologised.",
    "Water boils at a lower temperature on a mountain than at the sea.",
    "What a wonderful evening: the music, the food, and above all the company!",
    "Marie Curie was born in Warsaw and worked in Paris for most of her life.",
    "The update fixes the crash, but the application still takes too long to start.",
    "How do I change the language of the display without restarting the device?",
    "She closed the book, looked out of the window and said nothing for a while.",
    "Shares of the company fell by four per cent after the announcement on Monday.",
    "A good knife is sharp, well balanced and easy to clean.",
    "It is not the best film of the year, but it has its moments.",
    "The train to Berlin leaves from platform nine at half past seven.",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "Please send the signed contract to our office before the end of the month.",
    "The battery lasts two days, which is more than I hoped for.",
    "Once upon a time there was a miller who had three sons and a donkey.",
    "The function returns the index of the first element that satisfies the condition.",
    "Rain is expected in the north, with strong winds along the coast.",
    "He promised to call, he did not call, and I am not surprised.",
    "The museum in Madrid opens at ten and is closed on Tuesdays.",
    "To make the dough, mix flour, water, salt and yeast, and let it rest for an hour.",
    "Nothing in the instructions explained how the two parts fit together.",
    "The river carried the small boat past the village and into the lake.",
    "Our team won the match in the last minute, and the whole town celebrated.",
)


@dataclass(frozen=True)
class Samples:
    """Texts, or files of pictures or of sound; `origin` is where they come from."""

    origin: str
    texts: tuple[str, ...] = ()
    files: tuple[bytes, ...] = ()


def collect_samples(path: Path | None, media: str) -> Samples:
    """Return samples for a model that reads `text`, `image` or `audio`. Raises BadSettings."""
    if path is None:
        return _built_in(media)
    if media == "text":
        return Samples(str(path), texts=_read_texts(path))
    return Samples(str(path), files=_read_files(path))


def to_base64(file: bytes) -> str:
    """Return a file as requests hold it."""
    return base64.b64encode(file).decode("ascii")


def _built_in(media: str) -> Samples:
    if media == "text":
        return Samples(BUILT_IN, texts=TEXTS)
    draw = _draw_picture if media == "image" else _draw_sound
    return Samples(BUILT_IN, files=tuple(draw(seed) for seed in range(PICTURES if media == "image" else SOUNDS)))


def _read_texts(path: Path) -> tuple[str, ...]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"--samples: {path} cannot be read: {error}", hint="name a text file in UTF-8") from None
    texts = tuple(line for line in lines if line)[:MOST]
    if not texts:
        raise BadSettings(f"--samples: {path} holds no text", hint="write one text a line")
    return texts


def _read_files(path: Path) -> tuple[bytes, ...]:
    hint = "name a folder that holds nothing but pictures (PNG, JPEG, ...) or recordings (WAV, FLAC, ...)"
    try:
        files = sorted(each for each in path.iterdir() if each.is_file() and each.stat().st_size <= LONGEST_FILE)
        contents = tuple(each.read_bytes() for each in files[:MOST])
    except OSError as error:
        raise BadSettings(f"--samples: {path} cannot be read: {error.strerror}", hint=hint) from None
    if not contents:
        raise BadSettings(f"--samples: {path} holds no files", hint=hint)
    return contents


def _draw_picture(seed: int) -> bytes:
    """Draw coarse blots of colour with a disc before them."""
    random = np.random.default_rng(seed)
    blots = Image.fromarray(random.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize((256, 192), 3)
    pixels = np.asarray(blots).copy()
    rows, columns = np.mgrid[:192, :256]
    x, y, radius = random.integers(60, 190), random.integers(60, 130), random.integers(25, 60)
    pixels[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = random.integers(0, 255, 3)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _draw_sound(seed: int) -> bytes:
    """Draw two seconds of tones that come and go, with some noise."""
    random = np.random.default_rng(seed)
    times = np.arange(2 * RATE) / RATE
    pitches = random.uniform(100, 900, (4, 1))
    tones = (np.sin(2 * np.pi * pitches * times) * (np.sin(3 * times + pitches) > 0)).sum(axis=0)
    buffer = BytesIO()
    soundfile.write(buffer, 0.15 * tones + 0.01 * random.normal(size=len(times)), RATE, format="WAV")
    return buffer.getvalue()
