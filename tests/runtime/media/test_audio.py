"""Sound from strangers: decoded to one channel at the wanted rate, refused by name when it is too long or broken."""

import struct

import numpy as np
import pytest

from modelservice_runtime.media.audio import Samples, decode_audio
from modelservice_runtime.media.windows import cut_quietly
from modelservice_runtime.tasks.inputs import InvalidInput
from tests.models.speech.synthesis import to_file

RATE = 44_100


def tone(seconds: float = 2.0, rate: int = RATE) -> Samples:
    return (0.3 * np.sin(np.arange(int(seconds * rate)) * 2 * np.pi * 440 / rate)).astype(np.float32)


def flac_that_says(frames: int) -> bytes:
    """A FLAC of two seconds whose header states another number of frames."""
    data = bytearray(to_file(tone(), RATE, "FLAC"))
    data[21] = (data[21] & 0xF0) | (frames >> 32 & 0xF)
    data[22:26] = struct.pack(">I", frames & 0xFFFFFFFF)
    return bytes(data)


def complaint(data: bytes, seconds: float = 600.0) -> str:
    with pytest.raises(InvalidInput) as refused:
        decode_audio(data, "file", 16_000, seconds)
    assert refused.value.field == "file"
    return str(refused.value)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_recording_comes_out_at_the_wanted_rate_whatever_the_format(kind: str) -> None:
    found = decode_audio(to_file(tone(), RATE, kind), "file", 16_000, 600)
    assert found.dtype == np.float32
    assert abs(len(found) - 32_000) < 100
    middle = slice(4000, 28_000)
    assert np.corrcoef(found[middle], tone(2.0, 16_000)[: len(found)][middle])[0, 1] > 0.95


def test_channels_are_mixed_down() -> None:
    both = np.stack([tone(), -tone()], axis=1)
    assert np.abs(decode_audio(to_file(both, RATE), "file", RATE, 600)).max() < 1e-3


def test_samples_are_those_of_the_file_when_the_rate_is_right() -> None:
    found = decode_audio(to_file(tone(), RATE), "file", RATE, 600)
    np.testing.assert_allclose(found, tone(), atol=1 / 32768)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (to_file(tone(), RATE, "FLAC"), "longer than 1 seconds"),
        (to_file(tone(), RATE, "WAV"), "longer than 1 seconds"),
        (flac_that_says(RATE * 36_000), "longer than 1 seconds"),
        (flac_that_says(0), "longer than 1 seconds"),
    ],
    ids=["flac", "wav", "flac-says-ten-hours", "flac-says-nothing"],
)
def test_recording_is_refused_when_it_is_or_claims_to_be_too_long(data: bytes, words: str) -> None:
    assert words in complaint(data, 1.0)


def test_hour_of_silence_in_few_bytes_is_refused_before_it_is_decoded() -> None:
    bomb = to_file(np.zeros(8_000 * 3_600, np.float32), 8_000, "FLAC")
    assert len(bomb) < 200_000
    assert "longer than 600 seconds" in complaint(bomb)


@pytest.mark.parametrize(
    "data",
    [b"", b"RIFF", bytes(range(256)) * 20, flac_that_says(RATE * 5), to_file(tone(), RATE, "FLAC")[:9_000]],
    ids=["empty", "stub", "noise", "flac-says-more-than-there-is", "flac-cut-short"],
)
def test_recording_is_refused_when_it_is_damaged(data: bytes) -> None:
    assert "not a recording that can be read" in complaint(data)


def test_recording_is_refused_when_it_holds_nothing_or_no_numbers() -> None:
    assert "no sound" in complaint(to_file(tone()[:0], RATE))
    assert "AIFF" in complaint(to_file(tone(), RATE, "AIFF"))


def test_windows_are_cut_where_it_is_quiet_and_join_to_the_whole() -> None:
    samples = tone(70.0, 1_000)
    for second in (27, 55):
        samples[second * 1_000 : second * 1_000 + 500] = 0
    windows = list(cut_quietly(samples, 1_000, 30.0))
    np.testing.assert_array_equal(np.concatenate([part for _, part in windows]), samples)
    assert [round(first / 1_000) for first, _ in windows] == [0, 27, 55]
    assert all(len(part) <= 30_000 for _, part in windows)
