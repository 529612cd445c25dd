"""Speech from espeak-ng: a voice, a speed and a pitch make one reproducible recording of a text.

A voice is an accent and a variant (`en-us+f2`): about a hundred speakers that differ in formants, roughness and
breath. No person was recorded.
"""

import io
import random
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from tests.cluster.packages import Need, ensure

ESPEAK = Need("espeak-ng", "espeak-ng", "speaks the sentences of the speech models' tests")
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-rp", "en-gb-x-gbcwmd")
TRAINED_VARIANTS = (
    "f1 f2 f4 f5 m1 m2 m3 m4 m6 m7 m8 adam Alex Alicia Andrea Annie antonio belinda benjamin caleb david Denis "
    "Diogo ed edward Gene Gene2 gustave Henrique Hugo iven iven2 iven4 john kaukovalta Lee marcelo Marco Mario "
    "Michael michel Mike Nguyen pablo paul pedro quincy rob robert steph steph2 Storm sandro travis klatt klatt3 "
    "grandpa"
)
HELD_OUT_VARIANTS = "f3 m5 Andy Jacky linda max miguel norbert steph3 victor zac anika shelby iven3 edward2 boris"
TRAINED, HELD_OUT = tuple(TRAINED_VARIANTS.split()), tuple(HELD_OUT_VARIANTS.split())
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class Utterance:
    """A text and how it is spoken; `speed` in words a minute, `pitch` 0 to 99."""

    text: str
    voice: str
    speed: int
    pitch: int


def speak(utterance: Utterance) -> bytes:
    """Return the recording as WAV bytes, 22,050 Hz, mono."""
    ensure([ESPEAK])
    how = ["-v", utterance.voice, "-s", str(utterance.speed), "-p", str(utterance.pitch), "--stdout"]
    done = subprocess.run(["espeak-ng", *how, utterance.text], capture_output=True, check=True)
    return done.stdout


def samples_of(wav: bytes, rate: int) -> NDArray[np.float32]:
    """Return the samples of a WAV file of espeak-ng at another rate.

    Its header states no length, since it is written to a pipe; the samples begin behind 44 bytes.
    """
    raw = np.frombuffer(wav[44 : len(wav) - len(wav) % 2], dtype="<i2").astype(np.float32) / 32768
    return soxr.resample(raw, 22_050, rate).astype(np.float32)


def to_file(samples: NDArray[np.float32], rate: int, kind: str = "WAV") -> bytes:
    """Return samples as the bytes of a file: WAV, FLAC, OGG or MP3."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind)
    return buffer.getvalue()


def draw_digits(count: int, seed: int, variants: Sequence[str]) -> list[Utterance]:
    """Draw sequences of one to eight digits, each in a voice of its own."""
    choose = random.Random(seed)
    return [
        Utterance(
            " ".join(choose.choices(DIGITS, k=choose.randint(1, 8))),
            f"{choose.choice(ACCENTS)}+{choose.choice(variants)}",
            choose.randint(120, 200),
            choose.randint(20, 80),
        )
        for _ in range(count)
    ]


def held_out() -> list[Utterance]:
    """Return the sequences that the model is measured on, in voices that its training never heard."""
    return draw_digits(300, 6, HELD_OUT)
