"""Pictures and recordings with damage anywhere: decoded or refused by name, within the bounds, and nothing else."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelservice_runtime.media.audio import decode_audio
from modelservice_runtime.media.image import decode_image
from modelservice_runtime.tasks.inputs import InvalidInput
from tests.models.speech.synthesis import to_file
from tests.runtime.media.test_audio import tone
from tests.runtime.media.test_image import encode, picture

PIXELS = 4096
RATE, MAX_SECONDS = 16_000, 2.0
PICTURES = {kind: encode(picture(24, 24), kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP")}
SOUNDS = {kind: to_file(tone(0.2, RATE), RATE, kind) for kind in ("WAV", "FLAC", "OGG", "MP3")}
NUMBERS = [0, 1, 0x7F, 0x80, 0xFF]
DAMAGE = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.lists(st.one_of(st.sampled_from(NUMBERS), st.integers(0, 255)), min_size=1, max_size=8),
        st.sampled_from(["replace", "insert", "cut"]),
    ),
    min_size=1,
    max_size=4,
)
"""Where, as a share of the file; with which bytes; and how. Most files keep their secrets near the beginning."""
Damage = list[tuple[float, list[int], str]]


def damaged(whole: bytes, damage: Damage) -> bytes:
    """The file with that done to it; half of all places are within the first 64 bytes."""
    data = bytearray(whole)
    for share, values, how in damage:
        at = int(2 * share * 64) if share < 0.5 else int((2 * share - 1) * len(data))
        end = at + (0 if how == "insert" else len(values))
        data[at:end] = b"" if how == "cut" else bytes(values)
    return bytes(data)


def look_at(kind: str, damage: Damage) -> None:
    """Decode a damaged picture."""
    try:
        image = decode_image(damaged(PICTURES[kind], damage), "input", PIXELS)
    except InvalidInput:
        return
    assert image.mode == "RGB"
    assert image.width * image.height <= PIXELS


def listen_to(kind: str, damage: Damage) -> None:
    """Decode a damaged recording."""
    try:
        samples = decode_audio(damaged(SOUNDS[kind], damage), "file", RATE, MAX_SECONDS)
    except InvalidInput:
        return
    assert np.isfinite(samples).all()
    assert 0 < len(samples) <= RATE * MAX_SECONDS * 1.01


Decoder = Callable[[str, Damage], None]
CASES = [(look_at, kind) for kind in PICTURES] + [(listen_to, kind) for kind in SOUNDS]


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=250, derandomize=True)
@given(case=st.sampled_from(CASES), damage=DAMAGE)
def test_damaged_file_is_decoded_within_bounds_or_refused(case: tuple[Decoder, str], damage: Damage) -> None:
    decode, kind = case
    decode(kind, damage)


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore")
@settings(max_examples=4000)
@given(case=st.sampled_from(CASES), damage=DAMAGE)
def test_many_damaged_files_are_decoded_within_bounds_or_refused(case: tuple[Decoder, str], damage: Damage) -> None:
    decode, kind = case
    decode(kind, damage)
