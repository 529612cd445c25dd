"""A server whose decode steps are recorded writes what one without writes, for clients that come and go."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from modelservice_runtime.models import accelerator
from modelservice_runtime.tasks import generation
from tests.runtime.models.test_decode_graphs import Recorder
from tests.runtime.support.server import running

pytestmark = pytest.mark.torch

BODIES: list[dict[str, Any]] = [
    {"prompt": "the quick brown fox", "max_tokens": 40, "temperature": 0},
    {"prompt": "Paris", "max_tokens": 7, "temperature": 0},
    {"prompt": "a server answers requests; " * 4, "max_tokens": 23, "temperature": 0.9, "seed": 5},
    {"prompt": "red", "max_tokens": 60, "temperature": 0, "frequency_penalty": 1.5},
    {"prompt": "blue and", "max_tokens": 15, "temperature": 0, "logprobs": 2},
]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(accelerator, "capture", recorder.capture)
    return recorder


def texts(folder: Path) -> list[str]:
    with running(folder) as server, ThreadPoolExecutor(len(BODIES)) as pool:
        answers = pool.map(lambda body: server.post("/v1/completions", **body).json(), BODIES)
        return [answer["choices"][0]["text"] for answer in answers]


def test_texts_are_the_same_when_steps_are_recorded(
    decoder_folder: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = texts(decoder_folder)
    monkeypatch.setattr(generation, "records_graphs", lambda *_: True)
    assert texts(decoder_folder) == plain
    assert recorder.replayed > recorder.recorded > 0
