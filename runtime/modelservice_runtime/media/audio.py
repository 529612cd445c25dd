"""Decodes sound that strangers send, to one channel at the rate that a model hears.

A small file can unpack to hours: silence in FLAC costs next to nothing. So the length that a header states is held
against the bound before anything is decoded, and what comes out is counted while it is decoded, block by block, because
a header may lie. Mixing down and resampling happen on each block as well: a file at 192 kHz with eight channels never
lies in memory as such.
"""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
import soundfile  # type: ignore[import-untyped]
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

from modelservice_runtime.tasks.inputs import InvalidInput

FORMATS = ("WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3")
NAMES = "WAV, FLAC, OGG (Vorbis, Opus) and MP3"
EXACT_FORMATS = ("FLAC",)
RATES = range(1_000, 384_001)
CHANNELS = 8
BLOCK = 1 << 16
UNKNOWN_LENGTH = 1 << 62  # what libsndfile says of a FLAC whose encoder did not know how much would follow

Samples = NDArray[np.float32]


def decode_audio(data: bytes, field: str, rate: int, max_seconds: float) -> Samples:
    """Return the samples at `rate`, mono, -1 to 1; CPU pool. Raises InvalidInput naming `field`."""
    try:
        with soundfile.SoundFile(BytesIO(data)) as file:
            _check_header(file, field, max_seconds)
            samples = _read(file, field, rate, max_seconds)
    except (soundfile.SoundFileError, RuntimeError, TypeError, OSError) as error:
        raise InvalidInput(field, f"not a recording that can be read; the formats are {NAMES}") from error
    if len(samples) == 0:
        raise InvalidInput(field, "the recording holds no sound")
    if not np.isfinite(samples).all():
        raise InvalidInput(field, "the recording holds samples that are not numbers")
    return samples


def _check_header(file: soundfile.SoundFile, field: str, max_seconds: float) -> None:
    if file.format not in FORMATS:
        raise InvalidInput(field, f"recordings as {file.format[:16]} are not taken; the formats are {NAMES}")
    if file.samplerate not in RATES or not 1 <= file.channels <= CHANNELS:
        raise InvalidInput(
            field, f"the recording must have {RATES[0]} to {RATES[-1]} samples a second and at most {CHANNELS} channels"
        )
    if max_seconds * file.samplerate < file.frames < UNKNOWN_LENGTH:
        raise _too_long(field, max_seconds)


def _read(file: soundfile.SoundFile, field: str, rate: int, max_seconds: float) -> Samples:
    """Decode, mix down and resample block by block, counting."""
    resampler = None if file.samplerate == rate else soxr.ResampleStream(file.samplerate, rate, 1, dtype="float32")
    pieces, decoded = [], 0
    for block in _blocks(file):
        decoded += len(block)
        if decoded > max_seconds * file.samplerate:
            raise _too_long(field, max_seconds)
        pieces.append(block if resampler is None else resampler.resample_chunk(block))
    if resampler is not None and decoded:
        pieces.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    if file.format in EXACT_FORMATS and decoded < file.frames < UNKNOWN_LENGTH:
        raise InvalidInput(field, "the recording is damaged or cut short; send it again, whole")
    return np.concatenate(pieces).astype(np.float32, copy=False) if pieces else np.zeros(0, np.float32)


def _blocks(file: soundfile.SoundFile) -> Iterator[Samples]:
    while True:
        block = file.read(BLOCK, dtype="float32", always_2d=True)
        if len(block) == 0:
            return
        yield block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)


def _too_long(field: str, max_seconds: float) -> InvalidInput:
    return InvalidInput(
        field,
        f"the recording is longer than {max_seconds:g} seconds; send a part of it, or raise limits.max_audio_seconds",
        reason="too_long",
    )
