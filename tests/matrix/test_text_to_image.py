"""Text to image: the layouts and noise schedulers that users deploy, held equal to the plain pipelines of diffusers."""

import base64
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.runtime.support.server import RunningServer, running
from tests.runtime.support.tiny_pipelines import draw, make_stable_diffusion, make_stable_diffusion_xl

pytestmark = pytest.mark.torch

CASES = [
    ("sd", "PNDMScheduler"),
    ("sd", "EulerAncestralDiscreteScheduler"),
    ("sd", "HeunDiscreteScheduler"),
    ("xl", "EulerDiscreteScheduler"),
    ("xl", "DPMSolverMultistepScheduler"),
]
REQUESTS: list[dict[str, Any]] = [
    {"prompt": "a fox", "seed": 1, "num_inference_steps": 4},
    {"prompt": "two hens", "seed": 2, "num_inference_steps": 7, "guidance_scale": 2.5},
    {"prompt": "a boat at sea", "seed": 3, "num_inference_steps": 5, "guidance_scale": 1.0},
    {"prompt": "a house", "seed": 4, "num_inference_steps": 6, "negative_prompt": "trees", "size": "48x16"},
]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, ...]]:
    layout, scheduler = request.param
    make = make_stable_diffusion if layout == "sd" else make_stable_diffusion_xl
    folder = make(tmp_path_factory.mktemp(layout), scheduler)
    with running(folder) as server:
        yield server, folder, layout == "xl"


def test_pictures_are_those_of_the_pipeline_when_they_share_their_passes(
    served: tuple[RunningServer, Path, bool],
) -> None:
    server, folder, xl = served
    assert server.admin.get("/status").json()["model"]["task"] == "text-to-image"
    with ThreadPoolExecutor(len(REQUESTS)) as pool:
        answers = list(pool.map(lambda body: server.post("/v1/images/generations", **body), REQUESTS))
    for body, answer in zip(REQUESTS, answers, strict=True):
        assert answer.status_code == 200, answer.text
        picture = Image.open(io.BytesIO(base64.b64decode(answer.json()["data"][0]["b64_json"])))
        arguments = {name: value for name, value in body.items() if name not in ("prompt", "size")}
        if "size" in body:
            arguments["width"], arguments["height"] = map(int, body["size"].split("x"))
        expected = draw(folder, body["prompt"], xl=xl, **arguments)
        difference = np.abs(np.asarray(picture, dtype=np.int16) - np.asarray(expected, dtype=np.int16))
        assert difference.max() <= 1
