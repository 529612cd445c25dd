"""The open inference protocol over gRPC, as Triton's client speaks it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from modelservice_runtime.protocols.grpc import generate
from tests.runtime.support.server import RunningServer, free_ports, running, wait_until

pytestmark = pytest.mark.torch

KEY = "a-key-of-the-grpc-test"
HEADERS = {"authorization": f"Bearer {KEY}"}
TEXTS = ["the fox", "a bear runs away", "café"]


@pytest.fixture(scope="module")
def server(classifier_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(f"test:{KEY}")
    sections = {"security": {"api_key_file": str(keys)}, "limits": {"max_body_bytes": 65536, "max_inputs": 8}}
    with running(classifier_folder, grpc_port=free_ports(1)[0], **sections) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[Any]:
    with triton.InferenceServerClient(f"127.0.0.1:{server.settings.server.grpc_port}") as client:
        yield client


def text_input(texts: list[str]) -> Any:
    tensor = triton.InferInput("text", [len(texts)], "BYTES")
    tensor.set_data_from_numpy(np.array([text.encode() for text in texts], dtype=np.object_))
    return tensor


def code_of(error: pytest.ExceptionInfo[InferenceServerException]) -> str:
    return str(error.value.status()).removeprefix("StatusCode.")


def test_generated_code_is_that_of_the_proto_file(tmp_path: Path) -> None:
    for path in generate.generate(tmp_path):
        committed = (generate.HERE / path.name).read_text()
        assert path.read_text() == committed, "run `python -m modelservice_runtime.protocols.grpc.generate`"


def test_health_needs_no_key(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "1")


def test_metadata_is_that_of_rest(client: Any, server: RunningServer) -> None:
    expected = server.http.get("/v2/models/tiny", headers=HEADERS).json()
    metadata = client.get_model_metadata("tiny", headers=HEADERS, as_json=True)
    assert (metadata["name"], metadata["versions"]) == (expected["name"], expected["versions"])
    assert [tensor["name"] for tensor in metadata["outputs"]] == ["labels", "scores"]
    assert client.get_server_metadata(headers=HEADERS).name == "modelservice"


def test_labels_are_those_of_classify(client: Any, server: RunningServer) -> None:
    body = {"model": "tiny", "input": TEXTS, "top_k": 2}
    data = server.http.post("/v1/classify", json=body, headers=HEADERS).json()["data"]
    result = client.infer("tiny", [text_input(TEXTS)], parameters={"top_k": 2}, request_id="r-1", headers=HEADERS)
    assert result.get_response().id == "r-1"
    labels = [[label["label"].encode() for label in item["labels"]] for item in data]
    assert result.as_numpy("labels").tolist() == labels
    scores = np.array([[label["score"] for label in item["labels"]] for item in data])
    assert result.as_numpy("scores") == pytest.approx(scores, abs=1e-6)


@pytest.mark.parametrize(
    ("model", "texts", "options", "code", "words"),
    [
        ("tiny", TEXTS, {"headers": {}}, "UNAUTHENTICATED", "API key"),
        ("tiny", TEXTS, {"headers": {"authorization": "Bearer wrong-key-0123456789"}}, "UNAUTHENTICATED", "API key"),
        ("other", TEXTS, {}, "NOT_FOUND", "'tiny'"),
        ("tiny", TEXTS, {"model_version": "2"}, "NOT_FOUND", "version 1"),
        ("tiny", TEXTS, {"parameters": {"top_q": 2}}, "INVALID_ARGUMENT", "parameters.top_q"),
        ("tiny", TEXTS, {"priority": 3}, "INVALID_ARGUMENT", "priority"),
        ("tiny", [""], {}, "INVALID_ARGUMENT", "inputs.text.0"),
        ("tiny", TEXTS * 3, {}, "INVALID_ARGUMENT", "at most 8"),
        ("tiny", ["fox " * 20000], {}, "RESOURCE_EXHAUSTED", "limits.max_body_bytes"),
        ("tiny", TEXTS, {"outputs": [triton.InferRequestedOutput("boxes")]}, "INVALID_ARGUMENT", "labels, scores"),
    ],
)
def test_call_is_refused_with_code_and_way_out_when_it_does_not_fit(
    client: Any, model: str, texts: list[str], options: dict[str, Any], code: str, words: str
) -> None:
    with pytest.raises(InferenceServerException) as error:
        client.infer(model, [text_input(texts)], **{"headers": HEADERS, **options})
    assert (code_of(error), words in error.value.message()) == (code, True), error.value


def test_call_is_refused_when_raw_data_does_not_fit_the_shape(client: Any) -> None:
    tensor = text_input(TEXTS)
    tensor.set_shape([2])
    with pytest.raises(InferenceServerException, match="asks for 2 elements"):
        client.infer("tiny", [tensor], headers=HEADERS)


def test_calls_are_counted_by_method_and_code(client: Any, server: RunningServer) -> None:
    client.infer("tiny", [text_input(TEXTS)], headers=HEADERS)
    text = server.admin.get("/metrics").text
    endpoint = 'endpoint="/inference.GRPCInferenceService/ModelInfer"'
    assert f'inference_requests_total{{code="200",{endpoint},model="tiny"' in text
    assert f'inference_requests_total{{code="404",{endpoint},model="_other"' in text


def test_work_is_cancelled_when_the_client_leaves_or_its_time_is_over(decoder_folder: Path) -> None:
    tensor = triton.InferInput("prompt", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([b"the"], dtype=np.object_))
    with (
        running(decoder_folder, grpc_port=free_ports(1)[0]) as server,
        triton.InferenceServerClient(f"127.0.0.1:{server.settings.server.grpc_port}") as client,
    ):
        runner: Any = server.process.service.task.scheduler._runner  # type: ignore[union-attr]
        decode, gate = runner.decode, threading.Event()
        runner.decode = lambda *arguments: (gate.wait(0.02), decode(*arguments))[1]
        options = {"parameters": {"max_new_tokens": 200, "temperature": 1.0, "seed": 1}}
        with pytest.raises(InferenceServerException):
            client.infer("tiny", [tensor], client_timeout=0.5, **options)
        wait_until(lambda: server.stats()["running"] == 0, "the slot was freed", 3)
        call = client.async_infer("tiny", [tensor], lambda result, error: None, **options)
        wait_until(lambda: server.stats()["running"] == 1, "the call runs")
        call.cancel()
        wait_until(lambda: server.stats()["running"] == 0, "the slot was freed", 3)
        gate.set()
        assert client.infer("tiny", [tensor], parameters={"max_new_tokens": 3}).as_numpy("text").shape == (1,)
