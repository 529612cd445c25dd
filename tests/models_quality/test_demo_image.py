"""demo-image draws what its captions say, asked over HTTP, as often as its card states."""

import base64
import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from tests.models import build_model
from tests.models.image.assemble import CARD, WEIGHTS
from tests.models.image.evaluate import STEPS, accuracy, prompts
from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch

COUNT = 30
CLIENTS = 15
TARGET = 0.85


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running(build_model("demo-image")) as server:
        yield server


@pytest.fixture(scope="module", params=[False, True], ids=["trained captions", "other captions"])
def drawn(server: RunningServer, request: pytest.FixtureRequest) -> tuple[bool, list[str], list[int]]:
    """Pictures as base64, what they should show, and whether their captions are of kinds that were not trained on."""
    asked = prompts(COUNT, held_out=request.param)
    with ThreadPoolExecutor(CLIENTS) as pool:
        files = list(pool.map(lambda pair: draw(server, pair[1][0], pair[0]), enumerate(asked)))
    return request.param, files, [digit for _, digit in asked]


def draw(server: RunningServer, prompt: str, seed: int, steps: int = STEPS) -> str:
    answer = server.post("/v1/images/generations", prompt=prompt, seed=seed, num_inference_steps=steps)
    assert answer.status_code == 200, answer.text
    encoded: str = answer.json()["data"][0]["b64_json"]
    return encoded


def decode(encoded: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def stated() -> list[float]:
    text = " ".join(CARD.read_text(encoding="utf-8").split())
    match = re.search(r"recognises ([\d.]+) % .* and ([\d.]+) % for captions worded in other ways", text)
    assert match, "the card states no shares"
    return [float(share) / 100 for share in match.groups()]


def test_reference_classifier_sees_what_was_asked_for(drawn: tuple[bool, list[str], list[int]]) -> None:
    held_out, files, digits = drawn
    share = accuracy([decode(file) for file in files], digits)
    assert share >= TARGET
    assert share == pytest.approx(stated()[held_out], abs=0.034)


def test_demo_digits_reads_what_was_asked_for(drawn: tuple[bool, list[str], list[int]]) -> None:
    _, files, digits = drawn
    with running(build_model("demo-digits")) as reader:
        body = {"instances": files, "parameters": {"top_k": 1}}
        read = reader.http.post("/v1/models/tiny:predict", json=body).json()["predictions"]
    right = sum(labels[0]["label"] == str(digit) for labels, digit in zip(read, digits, strict=True))
    assert right / COUNT >= TARGET, f"{right} of {COUNT}"


def test_pictures_differ_when_the_seed_does(server: RunningServer) -> None:
    first, second = (decode(draw(server, "a seven", seed, 5)) for seed in (1, 2))
    assert first.size == (64, 64)
    assert first.tobytes() != second.tobytes()


def test_committed_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size < 4_000_000
