import gzip
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch

TEXTS = ["the fox", "a bear runs away", "café"]
INFER = "/v2/models/tiny/infer"


@pytest.fixture(scope="module")
def classifier(classifier_folder: Path) -> Iterator[RunningServer]:
    with running(classifier_folder) as server:
        yield server


@pytest.fixture(scope="module")
def decoder(decoder_folder: Path) -> Iterator[RunningServer]:
    with running(decoder_folder) as server:
        yield server


@pytest.fixture(scope="module")
def client(classifier: RunningServer) -> Iterator[Any]:
    with triton.InferenceServerClient(f"127.0.0.1:{classifier.port}") as client:
        yield client


def text_input(texts: list[str], *, binary: bool) -> Any:
    tensor = triton.InferInput("text", [len(texts)], "BYTES")
    tensor.set_data_from_numpy(np.array([text.encode() for text in texts], dtype=np.object_), binary_data=binary)
    return tensor


def expected_labels(server: RunningServer, top_k: int = 0) -> tuple[list[list[bytes]], list[list[float]]]:
    data = server.post("/v1/classify", input=TEXTS, top_k=top_k).json()["data"]
    labels = [[label["label"].encode() for label in item["labels"]] for item in data]
    return labels, [[label["score"] for label in item["labels"]] for item in data]


def infer(server: RunningServer, **body: Any) -> Any:
    body.setdefault("inputs", [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["the fox"]}])
    return server.http.post(INFER, json=body)


def test_health_and_metadata_are_told_to_the_client(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "1")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data", "generate", "parameters"]
    metadata = client.get_model_metadata("tiny")
    assert (metadata["name"], metadata["versions"]) == ("tiny", ["1"])
    assert metadata["inputs"] == [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in ("text", "text_pair")]
    assert [(tensor["name"], tensor["datatype"]) for tensor in metadata["outputs"]] == [
        ("labels", "BYTES"),
        ("scores", "FP32"),
    ]


@pytest.mark.parametrize("binary", [True, False])
def test_labels_are_those_of_classify_when_tensors_are_sent(
    client: Any, classifier: RunningServer, binary: bool
) -> None:
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("labels", "scores")]
    result = client.infer("tiny", [text_input(TEXTS, binary=binary)], outputs=wanted, request_id="r-1")
    labels, scores = expected_labels(classifier)
    assert result.get_response()["id"] == "r-1"
    found = [
        [value if isinstance(value, bytes) else value.encode() for value in row] for row in result.as_numpy("labels")
    ]
    assert found == labels
    assert result.as_numpy("scores") == pytest.approx(np.array(scores), abs=1e-6)


def test_outputs_are_binary_and_parameters_apply_when_no_output_is_named(
    client: Any, classifier: RunningServer
) -> None:
    result = client.infer("tiny", [text_input(TEXTS, binary=True)], parameters={"top_k": 1})
    labels, scores = expected_labels(classifier, top_k=1)
    assert result.as_numpy("labels").tolist() == labels
    assert result.as_numpy("scores").dtype == np.float32
    assert result.as_numpy("scores") == pytest.approx(np.array(scores), abs=1e-6)


def test_only_wanted_outputs_are_sent(classifier: RunningServer) -> None:
    answer = infer(classifier, outputs=[{"name": "scores"}]).json()
    assert [output["name"] for output in answer["outputs"]] == ["scores"]
    assert answer["outputs"][0]["shape"] == [1, 3]
    assert (answer["model_name"], answer["model_version"]) == ("tiny", "1")


def test_vectors_are_those_of_embeddings(encoder_folder: Path) -> None:
    with running(encoder_folder) as server, triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        data = server.post("/v1/embeddings", input=TEXTS).json()["data"]
        vectors = client.infer("tiny", [text_input(TEXTS, binary=True)]).as_numpy("embedding")
    assert vectors == pytest.approx(np.array([item["embedding"] for item in data]), abs=1e-6)


def test_text_is_that_of_completions(decoder: RunningServer) -> None:
    completion = decoder.post("/v1/completions", prompt="the quick", max_tokens=8, temperature=0).json()["choices"][0]
    expected = (completion["text"], completion["finish_reason"])
    tensor = {"name": "prompt", "shape": [1, 1], "datatype": "BYTES", "data": [["the quick"]]}
    answer = infer(decoder, inputs=[tensor], parameters={"max_new_tokens": 8, "stop": '["never"]'}).json()
    text, reason = (output["data"][0] for output in answer["outputs"])
    generate = {"text_input": "the quick", "parameters": {"max_tokens": 8}}
    unary = decoder.http.post("/v2/models/tiny/generate", json=generate).json()
    assert (text, reason) == (unary["text_output"], unary["details"]["finish_reason"]) == expected
    with decoder.http.stream("POST", "/v2/models/tiny/versions/1/generate_stream", json=generate) as stream:
        events = [json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line]
    assert "".join(event["text_output"] for event in events) == expected[0]
    assert events[-1]["details"]["finish_reason"] == expected[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": []}, "inputs: list should have at least 1"),
        ({"inputs": [{"name": "words", "shape": [1], "datatype": "BYTES", "data": ["x"]}]}, "takes text"),
        ({"inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": ["x"]}]}, "asks for 2 elements"),
        ({"inputs": [{"name": "text", "shape": [1], "datatype": "INT32", "data": [1]}]}, "must be BYTES"),
        ({"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [1]}]}, "not of the datatype"),
        ({"inputs": [{"name": "text", "shape": [1], "datatype": "STRING", "data": ["x"]}]}, "inputs.0.datatype"),
        ({"inputs": [{"name": "text", "shape": [0], "datatype": "BYTES", "data": []}]}, "at least 1"),
        ({"inputs": [{"name": "text", "shape": [1, 2], "datatype": "BYTES", "data": ["x", "y"]}]}, "[n, 1]"),
        ({"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [""]}]}, "inputs.text.0"),
        ({"inputs": [{"name": "text", "shape": [1 << 30], "datatype": "BYTES", "data": ["x"]}]}, "at most"),
        (
            {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 9}}]},
            "data holds another",
        ),
        (
            {
                "inputs": [
                    {"name": "text", "shape": [1], "datatype": "BYTES", "parameters": {"shared_memory_region": "a"}}
                ]
            },
            "shared memory",
        ),
        ({"parameters": {"top_q": 1}}, "parameters.top_q: unknown field"),
        ({"parameters": {"sequence_id": 7}}, "parameters.sequence_id: not supported"),
        ({"outputs": [{"name": "boxes"}]}, "gives labels, scores"),
        ({"outputs": [{"name": "labels", "parameters": {"classification": 3}}]}, "only binary_data"),
        ({"more": 1}, "more: unknown field"),
    ],
)
def test_request_is_refused_with_one_string_when_it_does_not_fit(
    classifier: RunningServer, change: dict[str, Any], words: str
) -> None:
    answer = infer(classifier, **change)
    assert answer.status_code == 400, answer.text
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]


@pytest.mark.parametrize("length", ["x", "-1", "99999", "²"])
def test_request_is_refused_when_its_json_length_is_no_length(classifier: RunningServer, length: str) -> None:
    headers = {b"inference-header-content-length": length.encode()}
    assert classifier.http.post(INFER, content=b"{}", headers=headers).status_code == 400


def test_request_is_refused_when_bytes_are_left_over(classifier: RunningServer) -> None:
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 7}}
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {"inference-header-content-length": str(len(head))}
    data = struct.pack("<I", 3) + b"fox"
    assert classifier.http.post(INFER, content=head + data, headers=headers).status_code == 200
    assert "3 bytes of" not in classifier.http.post(INFER, content=head + data + b"x", headers=headers).text
    assert classifier.http.post(INFER, content=head + data + b"x", headers=headers).status_code == 400


def test_compressed_body_is_refused_before_it_unpacks(classifier: RunningServer, client: Any) -> None:
    answer = classifier.http.post(INFER, content=gzip.compress(b"0" * 100), headers={"content-encoding": "gzip"})
    assert answer.status_code == 415
    with pytest.raises(InferenceServerException, match="content-encoding"):
        client.infer("tiny", [text_input(TEXTS, binary=True)], request_compression_algorithm="gzip")


def test_errors_reach_the_client_as_one_string(client: Any, classifier: RunningServer) -> None:
    with pytest.raises(InferenceServerException, match="serves 'tiny'"):
        client.infer("other", [text_input(TEXTS, binary=True)])
    with pytest.raises(InferenceServerException, match="version 1"):
        client.infer("tiny", [text_input(TEXTS, binary=True)], model_version="2")
    answer = classifier.http.post("/v2/models/tiny/generate", json={"text_input": "a"})
    assert (answer.status_code, "makes no text" in answer.json()["error"]) == (400, True)
    assert list(classifier.http.get("/v2/nothing").json()) == ["error"]
