"""The requests that KServe's own client (kserve 0.21) sends, byte for byte, and what it reads of the answers."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import pytest

from modelservice_runtime.protocols.grpc import open_inference_pb2 as pb
from tests.runtime.support.server import RunningServer, free_ports, running

pytestmark = pytest.mark.torch

PLAIN = (
    '{"id":"q","model_name":"tiny","inputs":[{"name":"text","shape":[2],"datatype":"BYTES","data":["the fox","café"]}],'
    '"parameters":{"top_k":1}}'
).encode()
HEAD = (
    b'{"id":"q","model_name":"tiny","inputs":[{"name":"text","shape":[2],"datatype":"BYTES","parameters":'
    b'{"binary_data_size":20}}],"outputs":[{"name":"scores","parameters":{"binary_data":true}}],"parameters":'
    b'{"binary_data_output":true}}'
)
RAW = b"\x07\x00\x00\x00the fox\x05\x00\x00\x00caf\xc3\xa9"


@pytest.fixture(scope="module")
def server(classifier_folder: Path) -> Iterator[RunningServer]:
    with running(classifier_folder, grpc_port=free_ports(1)[0]) as server:
        yield server


@pytest.fixture(scope="module")
def scores(server: RunningServer) -> list[float]:
    data = server.post("/v1/classify", input=["the fox", "café"]).json()["data"]
    return [label["score"] for item in data for label in item["labels"]]


def test_probes_answer_with_the_keys_that_the_client_reads(server: RunningServer) -> None:
    assert server.http.get("/v2/health/ready").json()["ready"] is True
    assert server.http.get("/v2/health/live").json()["live"] is True
    assert server.http.get("/v2/models/tiny/ready").is_success
    assert server.http.get("/v1/models/tiny").json()["ready"] is True


def test_json_request_is_answered(server: RunningServer, scores: list[float]) -> None:
    answer = server.http.post(
        "/v2/models/tiny/infer", content=PLAIN, headers={"content-type": "application/json"}
    ).json()
    assert answer["id"] == "q"
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert outputs["scores"]["shape"] == [2, 1]
    assert outputs["scores"]["data"] == pytest.approx([scores[0], scores[3]], abs=1e-6)


def test_binary_request_is_answered_in_binary(server: RunningServer, scores: list[float]) -> None:
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(HEAD))}
    answer = server.http.post("/v2/models/tiny/infer", content=HEAD + RAW, headers=headers)
    length = int(answer.headers["inference-header-content-length"])
    (output,) = json.loads(answer.content[:length])["outputs"]
    assert (output["shape"], output["parameters"]) == ([2, 3], {"binary_data_size": 24})
    assert struct.unpack("<6f", answer.content[length:]) == pytest.approx(scores, abs=1e-6)


def test_request_is_refused_when_its_body_names_another_model(server: RunningServer) -> None:
    content = PLAIN.replace(b'"tiny"', b'"other"')
    assert server.http.post("/v2/models/tiny/infer", content=content).status_code == 404


@pytest.mark.parametrize("raw", [True, False])
def test_grpc_request_is_answered(server: RunningServer, scores: list[float], raw: bool) -> None:
    tensor = pb.ModelInferRequest.InferInputTensor(name="text", datatype="BYTES", shape=[2])
    request = pb.ModelInferRequest(model_name="tiny", id="q", parameters={"top_k": pb.InferParameter(int64_param=1)})
    if raw:
        tensor.parameters["binary_data_size"].int64_param = len(RAW)
        request.raw_input_contents.append(RAW)
    else:
        tensor.contents.bytes_contents.extend([b"the fox", "café".encode()])
    request.inputs.append(tensor)
    with grpc.insecure_channel(f"127.0.0.1:{server.settings.server.grpc_port}") as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        answer = call(request, timeout=20)
    assert (answer.id, [output.name for output in answer.outputs]) == ("q", ["labels", "scores"])
    assert struct.unpack("<2f", answer.raw_output_contents[1]) == pytest.approx((scores[0], scores[3]), abs=1e-6)
