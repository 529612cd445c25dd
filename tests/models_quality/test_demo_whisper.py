"""demo-whisper hears through HTTP what transformers' `generate` hears on the same recordings, and hears it well."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

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


def reference_words(sent: Samples) -> list[dict[str, Any]]:
    """The words and times that transformers' own implementation finds."""
    folder = build_model("demo-whisper")
    processor = AutoProcessor.from_pretrained(folder)
    model = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    model.generation_config.forced_decoder_ids = None
    options = {"truncation": False, "padding": "longest"} if len(sent) > 30 * RATE else {}
    inputs = processor(sent, sampling_rate=RATE, return_tensors="pt", return_attention_mask=True, **options)
    with torch.inference_mode():
        found = model.generate(
            **inputs, do_sample=False, return_timestamps=True, return_token_timestamps=True, return_segments=True
        )
    words = []
    for segment in found["segments"][0]:
        output = {name: segment[name][None] for name in ("tokens", "token_timestamps")}
        chunks = processor.tokenizer._decode_asr(
            [output], return_timestamps="word", return_language=False, time_precision=0.02
        )[1]["chunks"]
        words += [each for each in chunks if each["text"].strip()]
    return words


@pytest.mark.parametrize("count", [1, 9])
def test_times_of_words_are_those_of_transformers(server, recordings, count: int) -> None:
    samples = np.concatenate(recordings[:count])
    sent = np.round(samples * 32767).astype(np.int16).astype(np.float32) / 32768  # as FLAC holds them
    answer = server.http.post(
        "/v1/audio/transcriptions",
        data={
            "model": "demo-whisper",
            "response_format": "verbose_json",
            "timestamp_granularities[]": ["word", "segment"],
        },
        files={"file": ("speech.flac", to_file(samples, RATE, "FLAC"))},
    ).json()
    assert (len(samples) > 30 * RATE) == (count > 1)
    words = reference_words(sent)
    assert [each["word"] for each in answer["words"]] == [each["text"].strip() for each in words]
    for ours, expected in zip(answer["words"], words, strict=True):
        assert (ours["start"], ours["end"]) == pytest.approx(expected["timestamp"], abs=0.1)
    assert " ".join(each["word"] for each in answer["words"]) == " ".join(answer["text"].split())
