"""demo-whisper hears through HTTP what transformers' `generate` hears on the same recordings, and hears it well."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import jiwer
import numpy as np
import pytest
import torch
from transformers import AutoProcessor, WhisperForConditionalGeneration

from modelservice_runtime.media.audio import Samples
from tests.models import build_model
from tests.models.speech.sentences import HELD_OUT
from tests.models.speech.synthesis import Utterance, samples_of, speak, to_file
from tests.runtime.support.server import RunningServer, running

pytestmark = [pytest.mark.torch, pytest.mark.timeout(400)]
RATE = 16_000
VOICES = ("en-us", "en-gb", "en-us+f3", "en-gb-x-rp+m5")
HIGHEST_ERROR_RATE = 0.25


@pytest.fixture(scope="module")
def recordings() -> list[Samples]:
    return [
        samples_of(speak(Utterance(sentence, VOICES[place % len(VOICES)], 150, 50)), RATE)
        for place, sentence in enumerate(HELD_OUT)
    ]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running(build_model("demo-whisper"), name="demo-whisper") as server:
        yield server


def hear(server: RunningServer, samples: Samples) -> str:
    answer = server.http.post(
        "/v1/audio/transcriptions",
        data={"model": "demo-whisper"},
        files={"file": ("speech.flac", to_file(samples, RATE, "FLAC"))},
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["text"])


def reference(recordings: list[Samples]) -> list[str]:
    """What transformers' own implementation writes."""
    folder = build_model("demo-whisper")
    processor = AutoProcessor.from_pretrained(folder)
    model = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    texts = []
    for samples in recordings:
        sent = np.round(samples * 32767).astype(np.int16).astype(np.float32) / 32768  # as FLAC holds them
        inputs = processor(sent, sampling_rate=RATE, return_tensors="pt")
        with torch.inference_mode():
            output = model.generate(inputs.input_features, do_sample=False)
        texts.append(processor.batch_decode(output, skip_special_tokens=True)[0].strip())
    return texts


def plain(texts: list[str]) -> list[str]:
    """Lower case without punctuation: neither is heard."""
    return ["".join(letter for letter in text.lower() if letter.isalnum() or letter in " '") for text in texts]


def test_error_rate_is_at_most_that_of_the_reference_implementation(server, recordings) -> None:
    with ThreadPoolExecutor(4) as clients:
        heard = list(clients.map(lambda samples: hear(server, samples), recordings))
    expected = reference(recordings)
    ours, theirs = (float(jiwer.wer(plain(HELD_OUT), plain(texts))) for texts in (heard, expected))
    print(f"word error rate: served {ours:.3f}, reference {theirs:.3f}")
    assert ours <= theirs + 1e-9
    assert ours <= HIGHEST_ERROR_RATE


def test_long_recording_is_heard_to_its_end(server, recordings) -> None:
    pause = np.zeros(RATE // 2, np.float32)
    long = np.concatenate([part for samples in recordings[:9] for part in (samples, pause)])
    assert len(long) > 31 * RATE
    heard = hear(server, long)
    assert jiwer.wer(" ".join(plain(HELD_OUT[:9])), plain([heard])[0]) <= HIGHEST_ERROR_RATE
