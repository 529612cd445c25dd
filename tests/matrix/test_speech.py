"""Models that listen give what transformers gives: letters and their times, labels, and Whisper's windows."""

import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    AutoModelForCTC,
    AutoTokenizer,
    WhisperForConditionalGeneration,
)
from transformers.models.whisper.generation_whisper import _dynamic_time_warping

from modelservice_runtime.media.audio import Samples
from modelservice_runtime.tasks.whisper_alignment import warp
from tests.matrix.support.speech import CTC, LABELLED, make_ctc, make_labelled, make_whisper
from tests.models.speech.synthesis import to_file
from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch
RATE = 16_000


def noises(*seconds: float) -> list[Samples]:
    """Recordings of noise that swells and fades, as WAV would hold them."""
    draw = np.random.default_rng(3)
    found = []
    for each in seconds:
        size = int(each * RATE)
        wave = draw.normal(0, 0.1, size) * (1.1 + np.sin(np.arange(size) / 3_000))
        found.append((np.clip(wave, -1, 1) * 32767).astype(np.int16).astype(np.float32) / 32768)
    return found


def transcribe(server: RunningServer, samples: Samples, **fields: Any) -> Any:
    answer = server.http.post(
        "/v1/audio/transcriptions",
        data={"model": "tiny", "response_format": "verbose_json", **fields},
        files={"file": ("a.wav", to_file(samples, RATE))},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def predict(server: RunningServer, waves: list[Samples], **parameters: Any) -> Any:
    audios = [base64.b64encode(to_file(wave, RATE)).decode() for wave in waves]
    answer = server.http.post("/v1/models/tiny:predict", json={"instances": audios, "parameters": parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def logits_of(folder: Path, auto_class: Any, samples: Samples) -> torch.Tensor:
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    model = auto_class.from_pretrained(folder).eval()
    with torch.inference_mode():
        found: torch.Tensor = model(**extractor(samples, sampling_rate=RATE, return_tensors="pt")).logits[0]
    return found


@pytest.mark.parametrize("family", CTC)
def test_letters_and_their_times_are_those_of_transformers_when_many_speak_at_once(family: str, tmp_path: Path) -> None:
    folder = make_ctc(tmp_path, family)
    waves = noises(1.0, 2.5, 0.7, 1.9)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with running(folder) as server, ThreadPoolExecutor(4) as clients:
        assert server.admin.get("/status").json()["model"]["task"] == "automatic-speech-recognition"
        answers = list(
            clients.map(lambda wave: transcribe(server, wave, **{"timestamp_granularities[]": ["word"]}), waves)
        )
        predictions = predict(server, waves, words=True)
    for wave, answer, prediction in zip(waves, answers, predictions, strict=True):
        ids = logits_of(folder, AutoModelForCTC, wave).argmax(-1)
        expected = tokenizer.decode(ids, output_word_offsets=True)
        words = [
            {"word": each["word"], "start": each["start_offset"] * 0.01, "end": each["end_offset"] * 0.01}
            for each in expected.word_offsets
        ]
        assert answer["text"] == prediction["text"] == expected.text.strip()
        for found in (answer["words"], prediction["words"]):
            assert [word["word"] for word in found] == [word["word"] for word in words]
            assert [word["start"] for word in found] == pytest.approx([word["start"] for word in words], abs=1e-3)
            assert [word["end"] for word in found] == pytest.approx([word["end"] for word in words], abs=1e-3)


@pytest.mark.parametrize("family", LABELLED)
def test_labels_are_those_of_transformers_when_recordings_share_a_batch(family: str, tmp_path: Path) -> None:
    folder = make_labelled(tmp_path, family)
    waves = noises(1.0, 0.5, 1.7)
    with running(folder) as server:
        predictions = predict(server, waves)
    for wave, labels in zip(waves, predictions, strict=True):
        scores = logits_of(folder, AutoModelForAudioClassification, wave).softmax(-1).tolist()
        expected = sorted(zip(scores, ("music", "noise", "speech"), strict=True), reverse=True)
        assert [label["label"] for label in labels] == [name for _, name in expected]
        assert [label["score"] for label in labels] == pytest.approx([score for score, _ in expected], abs=1e-3)


class Whisper:
    """transformers' own Whisper, asked for one recording at a time."""

    def __init__(self, folder: Path) -> None:
        self._extractor = AutoFeatureExtractor.from_pretrained(folder)
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = WhisperForConditionalGeneration.from_pretrained(folder).eval()

    def listen(self, samples: Samples, **options: Any) -> tuple[str, list[tuple[float, float]]]:
        """Return the text, and the times of segments where they are asked for."""
        long = len(samples) > 30 * RATE
        padding = {"truncation": False, "padding": "longest", "return_attention_mask": True} if long else {}
        inputs = self._extractor(samples, sampling_rate=RATE, return_tensors="pt", **padding)
        with torch.inference_mode():
            found = self._model.generate(**inputs, do_sample=False, return_segments=True, **options)
        end = self._model.config.eos_token_id
        ids = [token for token in found["sequences"][0].tolist() if token < end]
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        times = [(float(each["start"]), float(each["end"])) for each in found["segments"][0]]
        return str(text).strip(), times


def test_whisper_writes_what_generate_writes_in_each_language_and_task(tmp_path: Path) -> None:
    folder = make_whisper(tmp_path)
    reference, waves = Whisper(folder), noises(3.0, 7.0)
    with running(folder) as server, ThreadPoolExecutor(4) as clients:
        cases = [(wave, code) for wave in waves for code in ("de", "en")]
        answers = list(
            clients.map(lambda case: transcribe(server, case[0], language=case[1], response_format="json"), cases)
        )
        detected = transcribe(server, waves[0], response_format="json")
        translated = predict(server, waves, language="french", translate=True)
    for (wave, code), answer in zip(cases, answers, strict=True):
        assert answer["text"] == reference.listen(wave, language=code, task="transcribe")[0]
    assert detected["text"] == reference.listen(waves[0], task="transcribe")[0]
    assert [each["text"] for each in translated] == [
        reference.listen(wave, language="fr", task="translate")[0] for wave in waves
    ]


def test_whisper_hears_a_long_recording_window_by_window_as_generate_does(tmp_path: Path) -> None:
    folder = make_whisper(tmp_path)
    (wave,) = noises(47.0)
    with running(folder) as server:
        answer = transcribe(server, wave, language="en")
    text, times = Whisper(folder).listen(wave, language="en", task="transcribe", return_timestamps=True)
    assert answer["text"] == text
    assert (answer["language"], answer["duration"]) == ("english", 47.0)
    found = {(each["start"], each["end"]) for each in answer["segments"]}
    assert found <= {(round(min(start, 47.0), 2), round(min(end, 47.0), 2)) for start, end in times}


def test_path_of_time_warping_is_that_of_transformers() -> None:
    draw = np.random.default_rng(8)
    for shape in ((1, 1), (1, 9), (9, 1), (7, 30), (30, 7)):
        for costs in (draw.normal(size=shape).astype(np.float32), np.zeros(shape, np.float32)):
            for ours, theirs in zip(warp(costs), _dynamic_time_warping(costs), strict=True):
                assert ours.tolist() == theirs.tolist()
