import base64
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification

from tests.matrix.support.vision import make_vit, picture, to_url
from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch

IMAGE = picture(3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_vit(tmp_path_factory.mktemp("vit"))


@pytest.fixture(scope="module")
def vit(folder: Path) -> Iterator[RunningServer]:
    with running(folder) as server:
        yield server


def explain(server: RunningServer, **body: Any) -> dict[str, Any]:
    answer = server.post("/v1/explain", input={"image": to_url(IMAGE)}, **body)
    assert answer.status_code == 200, answer.text
    (found,) = answer.json()["data"]
    return dict(found)


def heat(found: dict[str, Any]) -> Any:
    return np.asarray(Image.open(BytesIO(base64.b64decode(found["image"]["heat_map"]))))


def test_shares_add_up_to_the_difference_when_the_method_is_integrated_gradients(
    vit: RunningServer, folder: Path
) -> None:
    found = explain(vit, baseline="mean", steps=128, target="dog")
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    point = AutoImageProcessor.from_pretrained(folder)(images=[IMAGE], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        chances = model(pixel_values=torch.cat([point, torch.zeros_like(point)])).logits.softmax(dim=-1)[:, 1]
    assert [found["target"]["score"], found["baseline"]["score"]] == pytest.approx(chances.tolist(), abs=1e-3)
    told, blank = torch.logit(chances).tolist()
    total, delta = np.sum(found["image"]["grid"]), found["convergence_delta"]
    assert total - delta == pytest.approx(told - blank, abs=1e-2)
    assert abs(delta) < 0.1 * abs(told - blank) + 0.05


@pytest.mark.parametrize("method", ["integrated_gradients", "gradient", "occlusion", "attention"])
@pytest.mark.parametrize("baseline", ["black", "blur"])
def test_heat_map_has_the_size_of_the_picture(vit: RunningServer, method: str, baseline: str) -> None:
    found = explain(vit, method=method, baseline=baseline, steps=8)
    assert heat(found).shape == (IMAGE.height, IMAGE.width, 4)
    assert (found["image"]["width"], found["image"]["height"]) == IMAGE.size
    assert heat(found)[..., 3].max() > 100
    assert {len(row) for row in found["image"]["grid"]} == {len(found["image"]["grid"])}


def test_answers_are_the_same_after_an_explanation(vit: RunningServer) -> None:
    body = {"instances": [{"image": to_url(IMAGE)}]}
    before = vit.http.post("/v1/models/tiny:predict", json=body).json()
    explain(vit, method="attention")
    assert vit.http.post("/v1/models/tiny:predict", json=body).json() == before
    assert explain(vit)["target"]["label"] == before["predictions"][0][0]["label"]


def test_picture_at_fault_is_named(vit: RunningServer) -> None:
    answer = vit.post("/v1/explain", input=[{"image": to_url(IMAGE)}, {"image": "data:image/png;base64,AAAA"}])
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "instances.1.image")
