"""The whole program as a child process: what Kubernetes sees."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.runtime.support.server import free_ports, wait_until

pytestmark = pytest.mark.torch

ROOT = Path(__file__).resolve().parents[3]
HTTP_UP_SECONDS = 6.0  # a second on an idle machine; the tests may share theirs


class Child:
    """`modelservice-runtime serve` with its ports and its termination message."""

    def __init__(self, folder: Path, tmp_path: Path, *flags: str) -> None:
        self.port, self.admin_port = free_ports(2)
        self.word = tmp_path / "termination-log"
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("MODELSERVICE_")},
            "PYTHONPATH": f"{ROOT}/runtime",
            "MODELSERVICE_TERMINATION_LOG": str(self.word),
            "MODELSERVICE_MODEL__NAME": "tiny",
        }
        ports = ("--server-port", str(self.port), "--server-admin-port", str(self.admin_port))
        command = [sys.executable, "-m", "modelservice_runtime", "serve", str(folder), "--server-host", "127.0.0.1"]
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [*command, *ports, *flags], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.admin = httpx.Client(base_url=f"http://127.0.0.1:{self.admin_port}", timeout=5)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def probe(self, path: str) -> int:
        try:
            return self.admin.get(path).status_code
        except httpx.TransportError:
            return 0

    def last_word(self) -> dict[str, Any]:
        word: dict[str, Any] = json.loads(self.word.read_text())
        return word

    def end(self, seconds: float = 60) -> tuple[int, str]:
        """Wait for the end; return the exit code and the output."""
        output, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, output

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.admin.close()
        self.http.close()


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Any]:
    started: list[Child] = []

    def start(folder: Path, *flags: str) -> Child:
        word = tmp_path / str(len(started))
        word.mkdir()
        started.append(Child(folder, word, *flags))
        return started[-1]

    yield start
    for child in started:
        child.close()


def test_probes_answer_while_the_model_loads_and_sigterm_finishes_what_runs(
    children: Any, decoder_folder: Path
) -> None:
    child = children(decoder_folder, "--lifecycle-drain-seconds", "20")
    wait_until(lambda: child.probe("/livez") == 200, "the admin port answers", HTTP_UP_SECONDS)
    assert child.probe("/readyz") == 503
    assert child.probe("/startupz") == 503
    early = child.http.post("/v1/completions", json={"model": "tiny", "prompt": "a"})
    assert early.status_code == 503
    assert early.json()["error"]["code"] == "not_ready"
    wait_until(lambda: child.probe("/readyz") == 200, "ready", 90)
    body = {"model": "tiny", "prompt": "the", "max_tokens": 250, "temperature": 1.0, "seed": 1, "n": 8}
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(child.http.post("/v1/completions", json=body)))
    asking.start()
    wait_until(lambda: child.admin.get("/status").json()["requests"]["running"] > 0, "the request runs")
    child.process.send_signal(signal.SIGTERM)
    wait_until(lambda: child.probe("/readyz") == 503, "readiness is withdrawn", 2)
    assert child.admin.get("/status").json()["state"] == "draining"
    code, output = child.end()
    asking.join()
    assert (code, answers[0].status_code) == (0, 200), output
    assert len(answers[0].json()["choices"]) == 8
    assert child.last_word()["reason"] == "Completed"
    assert "exempt from the search for garbage" in output
    assert "the quick" not in output
    assert f"http://127.0.0.1:{child.port}/playground" in output


def test_second_sigterm_cancels_what_runs(children: Any, decoder_folder: Path) -> None:
    child = children(decoder_folder, "--lifecycle-drain-seconds", "600", "--engine-max-concurrency", "1")
    wait_until(lambda: child.probe("/readyz") == 200, "ready", 90)
    body = {"model": "tiny", "prompt": "the", "max_tokens": 250, "temperature": 1.0, "n": 8, "stream": True}
    with child.http.stream("POST", "/v1/completions", json={**body, "seed": 1}) as response:
        lines = response.iter_lines()
        next(lines)
        child.process.send_signal(signal.SIGTERM)
        wait_until(lambda: child.probe("/readyz") == 503, "readiness is withdrawn", 5)
        child.process.send_signal(signal.SIGTERM)
        rest = list(lines)
    code, output = child.end(20)
    assert code == 0, output
    last = [line for line in rest if line][-1]
    assert "shutting down" in last


def test_refusal_names_the_way_out_when_only_pickles_are_there(children: Any, tmp_path: Path) -> None:
    folder = tmp_path / "pickles"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}))
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")
    child = children(folder)
    code, output = child.end()
    assert code == 65, output
    word = child.last_word()
    assert (word["reason"], word["exitCode"], word["component"]) == ("UnsupportedModel", 65, "serve")
    assert "pytorch_model.bin" in word["message"]
    assert "safetensors" in word["hint"]


def test_exit_code_is_66_when_the_folder_is_missing(children: Any, tmp_path: Path) -> None:
    child = children(tmp_path / "nowhere")
    assert child.end()[0] == 66
    assert child.last_word()["reason"] == "ModelNotFound"


def test_exit_code_is_67_when_a_promised_accelerator_is_missing(children: Any, decoder_folder: Path) -> None:
    child = children(decoder_folder, "--accelerator-count", "1")
    code, output = child.end()
    assert code == 67, output
    word = child.last_word()
    assert word["reason"] == "AcceleratorMissing"
    assert "nvidia.com/gpu" in word["message"]


def test_exit_code_is_64_when_the_port_is_taken(children: Any, decoder_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        child = children(decoder_folder, "--server-port", str(taken.getsockname()[1]))
        code, output = child.end()
    assert code == 64, output
    assert "server.port" in child.last_word()["message"]
