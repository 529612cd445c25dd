"""`/v1/images/generations`: what the plain pipeline draws, progress, and everything that is refused."""

import base64
import gc
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from PIL import Image

from modelservice_runtime.models.denoiser import Canvas
from tests.runtime.support.server import RunningServer, running, wait_until
from tests.runtime.support.tiny_pipelines import draw, make_stable_diffusion

pytestmark = pytest.mark.torch

PATH = "/v1/images/generations"
PROMPT = "a red fox"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_stable_diffusion(tmp_path_factory.mktemp("pipeline"), "DDIMScheduler")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RunningServer]:
    with running(folder) as server:
        yield server


def pixels(encoded: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))), dtype=np.int16)


def generate(server: RunningServer, **body: Any) -> dict[str, Any]:
    answer = server.post(PATH, **{"prompt": PROMPT, "num_inference_steps": 3, "seed": 7, **body})
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def counted(server: RunningServer, name: str) -> float:
    lines = server.admin.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{name}{{"))


def test_picture_is_that_of_the_pipeline_when_the_seed_is_the_same(server: RunningServer, folder: Path) -> None:
    options = {"negative_prompt": "blue", "guidance_scale": 4.0, "num_inference_steps": 5}
    answer = generate(server, size="48x32", **options)
    expected = np.asarray(draw(folder, PROMPT, seed=7, width=48, height=32, **options), dtype=np.int16)
    assert np.abs(pixels(answer["data"][0]["b64_json"]) - expected).max() <= 1
    assert (answer["size"], answer["usage"]["input_tokens"]) == ("48x32", 9)


def test_each_picture_has_a_seed_of_its_own_when_several_are_asked_for(server: RunningServer) -> None:
    before = counted(server, "inference_images_total"), counted(server, "inference_diffusion_steps_total")
    several = generate(server, n=3)["data"]
    after = counted(server, "inference_images_total"), counted(server, "inference_diffusion_steps_total")
    assert [item["seed"] for item in several] == [7, 8, 9]
    alone = generate(server, seed=8)["data"][0]
    assert np.abs(pixels(several[1]["b64_json"]) - pixels(alone["b64_json"])).max() <= 1
    assert not np.array_equal(pixels(several[0]["b64_json"]), pixels(several[1]["b64_json"]))
    assert (after[0] - before[0], after[1] - before[1]) == (3, 9)


def test_every_step_is_told_when_streaming(server: RunningServer) -> None:
    body = {"model": "tiny", "prompt": PROMPT, "num_inference_steps": 3, "seed": 7, "stream": True}
    with server.http.stream("POST", PATH, json=body) as answer:
        data = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
    assert data.pop() == "[DONE]"
    *progress, last = [json.loads(event) for event in data]
    assert [(event["type"], event["step"], event["steps"]) for event in progress] == [
        ("image_generation.progress", step, 3) for step in (1, 2, 3)
    ]
    assert (last["type"], last["seed"], last["size"]) == ("image_generation.completed", 7, "32x32")
    assert last["b64_json"] == generate(server)["data"][0]["b64_json"]


def test_predictions_are_the_pictures_of_the_endpoint_when_the_protocol_is_v1(server: RunningServer) -> None:
    expected = generate(server)["data"][0]["b64_json"]
    parameters = {"seed": 7, "num_inference_steps": 3}
    body = {"instances": [PROMPT, {"prompt": "a hen"}], "parameters": parameters}
    first, second = server.http.post("/v1/models/tiny:predict", json=body).json()["predictions"]
    assert np.abs(pixels(first["image"]) - pixels(expected)).max() <= 1
    assert second["seed"] == 8


def test_official_client_draws_streams_and_is_told_of_errors(server: RunningServer) -> None:
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0)
    extra = {"seed": 7, "num_inference_steps": 3}
    drawn = client.images.generate(model="tiny", prompt=PROMPT, size="32x32", extra_body=extra)
    expected = generate(server)["data"][0]["b64_json"]
    assert drawn.data is not None
    assert drawn.data[0].b64_json == expected
    events = list(client.images.generate(model="tiny", prompt=PROMPT, stream=True, extra_body=extra))
    assert [event.type for event in events][-2:] == ["image_generation.progress", "image_generation.completed"]
    assert events[-1].b64_json == expected
    with pytest.raises(openai.BadRequestError, match="use b64_json"):
        client.images.generate(model="tiny", prompt=PROMPT, response_format="url")


def test_picture_is_dropped_with_its_memory_when_the_client_leaves(server: RunningServer) -> None:
    body = {"model": "tiny", "prompt": PROMPT, "num_inference_steps": 150, "stream": True}
    before = counted(server, "inference_images_total")
    with server.http.stream("POST", PATH, json=body) as answer:
        next(answer.iter_lines())
    wait_until(lambda: server.stats() == {"running": 0, "queued": 0}, "an idle engine")
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) is Canvas]
    assert counted(server, "inference_images_total") == before


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"prompt": ""}, "prompt", "at least 1"),
        ({"prompt": "x " * 60}, "prompt", "62 tokens, and this model reads 40"),
        ({"negative_prompt": "x " * 60}, "negative_prompt", "shorten it by at least 22"),
        ({"n": 11}, "n", "less than or equal to 10"),
        ({"size": "big"}, "size", "match pattern"),
        ({"size": "33x32"}, "size", "multiples of 8"),
        ({"size": "512x512"}, "size", "draws 32x32, and sides of 16 to 64"),
        ({"size": "8x32"}, "size", "draws 32x32"),
        ({"response_format": "url"}, "response_format", "use b64_json"),
        ({"output_format": "jpeg"}, "output_format", "'png'"),
        ({"partial_images": 2}, "partial_images", "every step is told"),
        ({"moderation": "low"}, "moderation", "not checked"),
        ({"style": "vivid"}, "style", "leave it out"),
        ({"quality": "hd"}, "quality", "'auto' or 'standard'"),
        ({"background": "transparent"}, "background", "'auto' or 'opaque'"),
        ({"num_inference_steps": 151}, "num_inference_steps", "at most 150 steps"),
        ({"guidance_scale": 51}, "guidance_scale", "less than or equal to 50"),
        ({"seed": -1}, "seed", "greater than or equal to 0"),
        ({"steps": 3}, "steps", "unknown field"),
    ],
)
def test_field_is_named_when_it_is_refused(server: RunningServer, body: dict[str, Any], param: str, words: str) -> None:
    answer = server.post(PATH, **{"prompt": PROMPT, **body})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == param
    assert words in error["message"]


def test_size_is_refused_when_the_settings_allow_less(folder: Path) -> None:
    with running(folder, limits={"max_drawn_pixels": 32 * 32, "max_steps": 2}) as server:
        answer = server.post(PATH, prompt=PROMPT, size="64x32").json()["error"]
        drawn = server.post(PATH, prompt=PROMPT)
    assert (answer["param"], "limits.max_drawn_pixels" in answer["message"]) == ("size", True)
    assert drawn.status_code == 200
