"""Vision models of every family, held equal to transformers' own pipeline on the same images."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import AutoImageProcessor, pipeline

from tests.matrix.support import vision
from tests.matrix.support.vision import picture, to_url
from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch

TOLERANCE = 1e-3
PICTURES = [picture(0), picture(1, 90, 60), picture(2), picture(3, 30, 64)]
CANDIDATES = ["a cat", "a red chair", "bird"]

Make = Callable[[Path], Path]


@contextmanager
def serving(folder: Path, task: str) -> Iterator[tuple[RunningServer, Any]]:
    """Serve a model, and give transformers' pipeline for it with the same image processor."""
    reference = pipeline(
        task, model=str(folder), image_processor=AutoImageProcessor.from_pretrained(folder, backend="pil")
    )
    with running(folder, engine={"dtype": "float32"}) as server:
        assert server.admin.get("/status").json()["model"]["task"] == task
        yield server, reference


def predict(server: RunningServer, instances: list[Any], **parameters: Any) -> list[Any]:
    answer = server.http.post("/v1/models/tiny:predict", json={"instances": instances, "parameters": parameters})
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["predictions"]
    return found


def close(value: float) -> Any:
    return pytest.approx(value, abs=TOLERANCE)


def assert_labels_equal(found: list[Any], expected: list[Any]) -> None:
    assert {each["label"]: each["score"] for each in found} == {
        each["label"]: close(each["score"]) for each in expected
    }


@pytest.mark.parametrize("make", [vision.make_vit, vision.make_convnext, vision.make_swin])
def test_labels_equal_the_pipeline(tmp_path: Path, make: Make) -> None:
    with serving(make(tmp_path), "image-classification") as (server, reference):
        found = predict(server, [to_url(each) for each in PICTURES])
        for image, labels in zip(PICTURES, found, strict=True):
            assert_labels_equal(labels, reference(image))


@pytest.mark.parametrize("make", [vision.make_clip, vision.make_siglip])
def test_scores_of_given_labels_equal_the_pipeline(tmp_path: Path, make: Make) -> None:
    with serving(make(tmp_path), "zero-shot-image-classification") as (server, reference):
        instances = [{"image": to_url(each), "candidate_labels": CANDIDATES} for each in PICTURES]
        for image, labels in zip(PICTURES, predict(server, instances), strict=True):
            assert_labels_equal(labels, reference(image, candidate_labels=CANDIDATES))
        other = instances[0] | {"hypothesis_template": "a dog on {}", "candidate_labels": CANDIDATES[:2]}
        expected = reference(PICTURES[0], candidate_labels=CANDIDATES[:2], hypothesis_template="a dog on {}")
        assert_labels_equal(predict(server, [other])[0], expected)


@pytest.mark.parametrize("make", [vision.make_detr, vision.make_rt_detr, vision.make_yolos])
@pytest.mark.parametrize("threshold", [0.2, 0.5])
def test_boxes_equal_the_pipeline(tmp_path: Path, make: Make, threshold: float) -> None:
    with serving(make(tmp_path), "object-detection") as (server, reference):
        found = predict(server, [to_url(each) for each in PICTURES], threshold=threshold)
        expected = [reference(image, threshold=threshold) for image in PICTURES]
    assert any(expected)
    for objects, wanted in zip(found, expected, strict=True):
        assert [each["label"] for each in objects] == [each["label"] for each in wanted]
        for one, other in zip(objects, wanted, strict=True):
            assert one["score"] == close(other["score"])
            assert one["box"] == {edge: pytest.approx(value, abs=1) for edge, value in other["box"].items()}


@pytest.mark.parametrize(
    ("make", "subtasks"),
    [
        (vision.make_segformer, [None, "semantic"]),
        (vision.make_mask2former, [None, "panoptic", "instance", "semantic"]),
    ],
)
def test_masks_equal_the_pipeline(tmp_path: Path, make: Make, subtasks: list[str | None]) -> None:
    with serving(make(tmp_path), "image-segmentation") as (server, reference):
        for subtask in subtasks:
            options = {"subtask": subtask, "threshold": 0.2, "overlap_mask_area_threshold": 0.1}
            found = predict(server, [to_url(each) for each in PICTURES], **options)
            expected = [reference(image, **options) for image in PICTURES]
            assert any(expected), subtask
            for segments, wanted in zip(found, expected, strict=True):
                assert_segments_equal(segments, wanted)


def assert_segments_equal(found: list[Any], expected: list[Any]) -> None:
    assert [each["label"] for each in found] == [each["label"] for each in expected]
    for one, other in zip(found, expected, strict=True):
        assert one["score"] == (None if other["score"] is None else close(float(other["score"])))
        mask = np.asarray(Image.open(BytesIO(base64.b64decode(one["mask"]))).convert("L"))
        assert np.mean(mask != np.asarray(other["mask"])) < TOLERANCE
