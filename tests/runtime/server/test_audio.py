"""The audio endpoints: forms as OpenAI defines them, every field honoured or refused by name."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from tests.matrix.support.speech import make_ctc, make_whisper
from tests.models.speech.synthesis import to_file
from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch
NOISE = np.random.default_rng(5).normal(0, 0.1, 24_000).astype(np.float32)
WAV = to_file(NOISE, 16_000)
TRANSCRIPTIONS, TRANSLATIONS = "/v1/audio/transcriptions", "/v1/audio/translations"


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(make_whisper(tmp_path_factory.mktemp("whisper")), limits={"max_audio_seconds": 60}) as server:
        yield server


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(make_ctc(tmp_path_factory.mktemp("ctc"), "hubert")) as server:
        yield server


def send(server: RunningServer, path: str = TRANSCRIPTIONS, audio: bytes = WAV, **fields: Any) -> httpx.Response:
    return server.http.post(path, data={"model": "tiny", **fields}, files={"file": ("a.wav", audio)})


def client_of(server: RunningServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0)


def test_every_format_tells_the_same_text(whisper: RunningServer) -> None:
    plain = send(whisper, language="en").json()
    assert plain["usage"] == {"type": "duration", "seconds": 2}
    assert send(whisper, language="en", response_format="text").text == plain["text"] + "\n"
    verbose = send(whisper, language="en", response_format="verbose_json").json()
    assert (verbose["task"], verbose["language"], verbose["duration"]) == ("transcribe", "english", 1.5)
    assert "".join(each["text"] for each in verbose["segments"]).strip() == verbose["text"]
    assert all(0 <= each["start"] <= each["end"] <= 1.5 and each["avg_logprob"] <= 0 for each in verbose["segments"])
    srt, vtt = (send(whisper, language="en", response_format=kind).text for kind in ("srt", "vtt"))
    assert re.match(r"1\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\n", srt)
    assert re.match(r"WEBVTT\n\n00:00:0\d\.\d{3} --> 00:00:0\d\.\d{3}\n", vtt)


def test_official_client_works_for_every_call(whisper: RunningServer, letters: RunningServer) -> None:
    client = client_of(whisper)
    text = client.audio.transcriptions.create(model="tiny", file=("a.wav", WAV), language="en").text
    assert text == send(whisper, language="en").json()["text"]
    events = list(client.audio.transcriptions.create(model="tiny", file=("a.wav", WAV), language="en", stream=True))
    assert "".join(event.delta for event in events[:-1]).strip() == events[-1].text == text
    assert client.audio.translations.create(model="tiny", file=("a.wav", WAV)).text is not None
    srt = client.audio.transcriptions.create(model="tiny", file=("a.wav", WAV), response_format="srt")
    assert "-->" in srt
    words = client_of(letters).audio.transcriptions.create(
        model="tiny", file=("a.wav", WAV), response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert " ".join(word.word for word in words.words) == words.text
    with pytest.raises(openai.BadRequestError, match="language"):
        client.audio.transcriptions.create(model="tiny", file=("a.wav", WAV), language="klingon")
    with pytest.raises(openai.NotFoundError, match="no model"):
        client.audio.transcriptions.create(model="other", file=("a.wav", WAV))


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"temperature": "2"}, "temperature", "less than or equal to 1"),
        ({"temperature": "warm"}, "temperature", "valid number"),
        ({"response_format": "xml"}, "response_format", "json"),
        ({"beam_size": "5"}, "beam_size", "unknown field"),
        ({"chunking_strategy": "auto"}, "chunking_strategy", "not supported"),
        ({"include[]": "logprobs"}, "include", "not supported"),
        ({"timestamp_granularities[]": "word"}, None, "verbose_json"),
        ({"stream": "true", "response_format": "text"}, None, "response_format json"),
        ({"language": "xx"}, "language", "does not know"),
        ({"prompt": "a<|de|>"}, "prompt", "control tokens"),
        ({"language": ["en", "de"]}, "language", "more than once"),
    ],
)
def test_field_is_named_when_it_is_wrong(
    whisper: RunningServer, fields: dict[str, Any], param: str | None, words: str
) -> None:
    answer = send(whisper, **fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param), error
    assert words in error["message"]


@pytest.mark.parametrize(("field", "value"), [("language", "en"), ("prompt", "hello"), ("temperature", "0.5")], ids=str)
def test_option_is_refused_when_the_model_cannot_follow_it(letters: RunningServer, field: str, value: str) -> None:
    answer = send(letters, **{field: value})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
    assert send(letters, path=TRANSLATIONS).status_code == 400


def test_file_is_refused_by_name_when_it_is_missing_broken_or_too_long(whisper: RunningServer) -> None:
    long = to_file(np.zeros(8_000 * 61, np.float32), 8_000, "FLAC")
    answers = {
        "missing": whisper.http.post(TRANSCRIPTIONS, data={"model": "tiny"}, files={"other": ("a.wav", WAV)}),
        "broken": send(whisper, audio=b"RIFF....WAVE"),
        "long": send(whisper, audio=long),
    }
    for answer in answers.values():
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file"), answer.text
    assert "longer than 60 seconds" in answers["long"].json()["error"]["message"]
    instances = {"instances": [{"audio": base64.b64encode(long).decode()}]}
    predicted = whisper.http.post("/v1/models/tiny:predict", json=instances).json()["error"]
    assert predicted["param"] == "instances.0.audio"
    assert whisper.post(TRANSCRIPTIONS, file="x").status_code == 400
    torn = whisper.http.post(
        TRANSCRIPTIONS, content=b"--x\r\nbroken", headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert torn.status_code == 400
    assert (
        whisper.http.post(TRANSCRIPTIONS, content=b"", headers={"content-type": "multipart/form-data"}).status_code
        == 400
    )


def test_recording_may_be_larger_than_a_text_body(whisper: RunningServer) -> None:
    large = to_file(np.random.default_rng(1).normal(0, 0.1, (48_000 * 50, 2)), 48_000)
    assert len(large) > 9 << 20
    assert send(whisper, audio=large, language="en").status_code == 200


def test_streamed_events_are_those_of_the_answer(whisper: RunningServer) -> None:
    with whisper.http.stream(
        "POST",
        TRANSCRIPTIONS,
        data={"model": "tiny", "language": "en", "stream": "true"},
        files={"file": ("a.wav", WAV)},
    ) as answer:
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: ")]
    events = [json.loads(line) for line in lines if line != "[DONE]"]
    assert [event["type"] for event in events] == ["transcript.text.delta"] * (len(events) - 1) + [
        "transcript.text.done"
    ]


def test_documents_describe_the_form(whisper: RunningServer) -> None:
    document = whisper.http.get("/openapi.json").json()["paths"][TRANSCRIPTIONS]["post"]
    schema = document["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(schema["required"]) == {"file", "model"}


def test_seconds_of_sound_are_counted(letters: RunningServer) -> None:
    def heard() -> float:
        found = re.search(r'inference_audio_seconds_total\{model="tiny"\} (\S+)', letters.admin.get("/metrics").text)
        return float(found[1]) if found else 0.0

    before = heard()
    assert send(letters).status_code == 200
    assert heard() - before == pytest.approx(1.5, abs=0.01)
