import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from PIL import Image

from modelservice_runtime.errors import UnusableModel
from tests.matrix.support.vision import make_clip, make_segformer, make_vit, make_yolos, picture, to_url
from tests.runtime.media.test_image import png_bomb
from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch

PREDICT = "/v1/models/tiny:predict"
URL = to_url(picture(0))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(make_vit(tmp_path_factory.mktemp("vit"))) as server:
        yield server


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(make_yolos(tmp_path_factory.mktemp("yolos"))) as server:
        yield server


def predict(server: RunningServer, *instances: Any, **parameters: Any) -> list[Any]:
    answer = server.http.post(PREDICT, json={"instances": instances, "parameters": parameters})
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["predictions"]
    return found


def refusal(server: RunningServer, *instances: Any, **parameters: Any) -> tuple[int, str, str]:
    answer = server.http.post(PREDICT, json={"instances": instances, "parameters": parameters})
    error = answer.json()["error"]
    return answer.status_code, error["param"], error["message"]


def test_classify_takes_images_when_the_model_does(classifier: RunningServer) -> None:
    answer = classifier.post("/v1/classify", input=[{"image": URL}, {"image": URL}], top_k=2)
    assert answer.status_code == 200, answer.text
    expected = predict(classifier, URL)[0]
    assert [each["labels"] for each in answer.json()["data"]] == [expected[:2], expected[:2]]
    alone = classifier.post("/v1/classify", input={"image": URL}).json()["data"]
    assert [each["labels"] for each in alone] == [expected]


def test_classify_says_what_to_send_when_an_image_model_is_given_text(classifier: RunningServer) -> None:
    error = classifier.post("/v1/classify", input="a cat").json()["error"]
    assert error["param"] == "input"
    assert '{"image":' in error["message"]


def test_classify_names_the_field_when_a_text_model_is_given_an_image(classifier_folder: Path) -> None:
    with running(classifier_folder) as server:
        answer = server.post("/v1/classify", input=[{"image": URL}])
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")


def test_answers_stay_the_same_when_images_of_several_sizes_are_batched(detector: RunningServer) -> None:
    images = [to_url(picture(seed, 40 + 20 * (seed % 3), 50)) for seed in range(6)]
    alone = [predict(detector, image, threshold=0.1)[0] for image in images]
    assert any(alone)
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda index: predict(detector, images[index % 6], threshold=0.1)[0], range(36)))
    for index, found in enumerate(together):
        assert found == [each | {"score": pytest.approx(each["score"], abs=1e-4)} for each in alone[index % 6]]


def test_fewer_objects_are_told_when_the_threshold_is_higher(detector: RunningServer) -> None:
    (many,), (few,) = predict(detector, URL, threshold=0.1), predict(detector, URL, threshold=0.6)
    assert few == [each for each in many if each["score"] > 0.6]
    assert len(few) < len(many)
    assert refusal(detector, URL, threshold=1.5)[:2] == (400, "parameters.threshold")


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("http://169.254.169.254/latest", "fetches no URLs"),
        ("file:///etc/passwd", "never opened"),
        ("data:image/png;base64," + base64.b64encode(png_bomb(50_000, 50_000)).decode(), "more than"),
        ("data:image/jpeg;base64," + URL.partition(",")[2][:200], "cut short"),
        ("aGVsbG8=", "formats are"),
    ],
)
def test_image_is_refused_by_field_when_it_is_hostile(classifier: RunningServer, image: str, words: str) -> None:
    status, param, message = refusal(classifier, URL, {"image": image})
    assert (status, param) == (400, "instances.1.image")
    assert words in message
    assert len(predict(classifier, URL)[0]) == 3


def test_body_may_be_larger_than_text_bodies_when_images_are_read(classifier: RunningServer) -> None:
    padding = " " * (9 << 20)
    answer = classifier.http.post(PREDICT, content=f'{{"instances": ["{URL}"]}}{padding}', headers=JSON)
    assert answer.status_code == 200
    padding = " " * (33 << 20)
    answer = classifier.http.post(PREDICT, content=f'{{"instances": ["{URL}"]}}{padding}', headers=JSON)
    assert answer.status_code == 413


JSON = {"content-type": "application/json"}


def test_subtask_is_refused_when_the_model_does_not_have_it(tmp_path: Path) -> None:
    with running(make_segformer(tmp_path)) as server:
        status, param, message = refusal(server, URL, subtask="panoptic")
    assert (status, param) == (400, "parameters.subtask")
    assert "semantic" in message


def test_masks_have_the_size_of_the_image_when_segments_were_computed_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelservice_runtime.tasks.image_segmentation.MOST_VALUES", 900)
    with running(make_segformer(tmp_path)) as server:
        segments = predict(server, to_url(picture(0, 60, 44)))[0]
    masks = [Image.open(BytesIO(base64.b64decode(each["mask"]))) for each in segments]
    assert {mask.size for mask in masks} == {(60, 44)}
    covered = sum(np.asarray(mask).astype(int) for mask in masks)
    assert np.all(covered == 1)


def test_images_are_refused_when_they_would_fill_the_memory_together(
    classifier: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelservice_runtime.tasks.imaging.MOST_PATCHES", 8)
    status, param, message = refusal(classifier, *[URL] * 3)
    assert (status, param) == (400, "instances")
    assert "send fewer" in message
    assert len(predict(classifier, *[URL] * 2)) == 2


def test_template_and_labels_are_refused_when_they_do_not_fit(tmp_path: Path) -> None:
    with running(make_clip(tmp_path)) as server:
        image = {"image": URL}
        assert refusal(server, URL)[:2] == (400, "instances.0.candidate_labels")
        assert refusal(server, image | {"candidate_labels": []})[:2] == (400, "instances.0.candidate_labels")
        for template in ("no place", "{} and {}", "{0}"):
            broken = image | {"candidate_labels": ["a"], "hypothesis_template": template}
            assert refusal(server, broken)[:2] == (400, "instances.0.hypothesis_template")
        assert (
            predict(server, image | {"candidate_labels": ["cat"], "hypothesis_template": "{}"})[0][0]["label"] == "cat"
        )


def test_model_is_refused_at_start_when_nothing_says_how_images_are_prepared(tmp_path: Path) -> None:
    folder = make_vit(tmp_path)
    (folder / "preprocessor_config.json").unlink()
    assert "how images are prepared" in refusal_at_start(folder)


def test_model_is_refused_at_start_when_an_image_alone_does_not_suffice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def demand_more(*_: object) -> None:
        raise ValueError("task_inputs are missing")

    monkeypatch.setattr("modelservice_runtime.models.vision.VisionModel.forward", demand_more)
    assert "task_inputs are missing" in refusal_at_start(make_yolos(tmp_path))


def refusal_at_start(folder: Path) -> str:
    server = RunningServer(folder)
    with pytest.raises(UnusableModel) as raised:
        server.wait_ready()
    server.join()
    assert raised.value.exit_code == 65
    return str(raised.value)


def test_open_inference_protocol_takes_image_files_as_they_are(classifier: RunningServer) -> None:
    file = base64.b64decode(URL.partition(",")[2])
    tensor = triton.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([file], dtype=object))
    answer = triton.InferenceServerClient(f"127.0.0.1:{classifier.port}").infer("tiny", [tensor])
    expected = predict(classifier, URL)[0]
    assert answer.as_numpy("labels")[0].tolist() == [each["label"].encode() for each in expected]
    assert answer.as_numpy("scores")[0] == pytest.approx([each["score"] for each in expected], abs=1e-5)
