"""Nothing of what clients send or get, and no key, is in a log, an error, a metric, a status or a trace."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from tests.runtime.support.collector import collecting
from tests.runtime.support.server import RunningServer, free_ports, running

pytestmark = pytest.mark.torch

CANARY = "canary-5b1e7a90d3"
KEY = "key-canary-5b1e7a90d3"
WRONG = "wrong-canary-5b1e7a90d3"
MESSAGES = [{"role": "user", "content": CANARY}]
TENSOR = {"name": "prompt", "shape": [1], "datatype": "BYTES", "data": [CANARY]}

GOOD: list[tuple[str, dict[str, Any]]] = [
    ("/v1/completions", {"prompt": CANARY, "max_tokens": 60, "temperature": 1.0, "seed": 3}),
    ("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 60, "user": CANARY}),
    ("/v1/models/tiny:predict", {"instances": [CANARY]}),
    ("/v2/models/tiny/infer", {"id": CANARY, "inputs": [TENSOR]}),
    ("/v2/models/tiny/generate", {"text_input": CANARY}),
]
BAD: list[tuple[str, dict[str, Any]]] = [
    ("/v1/completions", {"prompt": CANARY, "temperature": CANARY}),
    ("/v1/completions", {"prompt": [CANARY, 1]}),
    ("/v1/completions", {"prompt": CANARY, "max_tokens": 9999}),
    ("/v1/completions", {"prompt": CANARY, "stop": [CANARY * 9]}),
    ("/v1/chat/completions", {"messages": [{"role": CANARY, "content": CANARY}]}),
    ("/v1/models/tiny:predict", {"instances": [{"prompt": CANARY, "seed": CANARY}]}),
    ("/v1/models/tiny:predict", {"instances": [CANARY], "parameters": {"temperature": CANARY}}),
    ("/v2/models/tiny/infer", {"inputs": [{**TENSOR, "datatype": CANARY}]}),
    ("/v2/models/tiny/infer", {"inputs": [{**TENSOR, "shape": [2]}]}),
    ("/v2/models/tiny/generate", {"text_input": CANARY, "parameters": {"seed": CANARY}}),
]


def fail_a_batch(server: RunningServer) -> None:
    """Make one forward pass raise an error that holds the prompt, as careless code would."""
    task: Any = server.process.service.task
    runner = task.scheduler._runner
    prefill = runner.prefill

    def explode(*arguments: Any) -> Any:
        runner.prefill = prefill
        raise ValueError(CANARY)

    runner.prefill = explode


def test_canary_appears_nowhere_but_in_answers(
    decoder_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "keys").write_text(f"alice:{KEY}")
    with collecting() as collector:
        sections = {
            "security": {"api_key_file": str(tmp_path / "keys")},
            "observability": {"otlp_endpoint": collector.endpoint, "log_level": "debug"},
        }
        with running(decoder_folder, grpc_port=free_ports(1)[0], **sections) as server:
            told, made = ask_everything(server)
        told += [body.decode("latin-1") for body in collector.bodies]
    # what httpx logs on the client's side is its own business
    told += [record.getMessage() + str(record.__dict__) for record in caplog.records if "http" not in record.name]
    assert len(collector.bodies) > 0
    for secret in (CANARY, KEY, WRONG, *made):
        assert not any(secret in text for text in told), secret


def ask_everything(server: RunningServer) -> tuple[list[str], list[str]]:
    """Return all errors and all that the admin port tells, and texts that the model made."""
    server.http.headers["authorization"] = f"Bearer {KEY}"
    bodies = [(path, body if "/models/" in path else {"model": "tiny", **body}) for path, body in [*GOOD, *BAD]]
    answers = [server.http.post(path, json=body) for path, body in bodies]
    assert [answer.status_code for answer in answers] == [200] * len(GOOD) + [400] * len(BAD)
    made = answers[0].json()["choices"][0]["text"]
    told = [answer.text for answer in answers[len(GOOD) :]]
    told.append(server.http.get("/v1/models", headers={"authorization": f"Bearer {WRONG}"}).text)
    told.append(ask_over_grpc(server))
    fail_a_batch(server)
    failed = server.post("/v1/completions", prompt="the fox")
    assert failed.status_code == 500
    told += [failed.text, server.admin.get("/metrics").text, server.admin.get("/status").text]
    assert len(made) > 20
    return told, [made[3:19]]


def ask_over_grpc(server: RunningServer) -> str:
    tensor = triton.InferInput("prompt", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([CANARY.encode()], dtype=np.object_))
    with triton.InferenceServerClient(f"127.0.0.1:{server.settings.server.grpc_port}") as client:
        client.infer("tiny", [tensor], headers={"authorization": f"Bearer {KEY}"})
        with pytest.raises(InferenceServerException) as error:
            client.infer("tiny", [tensor], parameters={"seed": CANARY}, headers={"authorization": f"Bearer {KEY}"})
    return str(error.value)


def test_unexpected_error_is_answered_and_logged_without_its_message(
    decoder_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(decoder_folder) as server:
        task: Any = server.process.service.task

        def explode(*arguments: Any) -> Any:
            raise KeyError(CANARY)

        task.prepare = explode
        answers = [
            server.post("/v1/completions", prompt="a"),
            server.http.post("/v2/models/tiny/infer", json={"inputs": [TENSOR]}),
        ]
    assert [answer.status_code for answer in answers] == [500, 500]
    assert answers[0].json()["error"]["code"] == "internal_error"
    assert list(answers[1].json()) == ["error"]
    logged = " ".join(str(record.__dict__) for record in caplog.records if "http" not in record.name)
    assert "builtins.KeyError" in logged
    assert "explode" in logged
    assert CANARY not in logged
