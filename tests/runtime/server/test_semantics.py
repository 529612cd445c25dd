"""What holds whatever clients do: slots come back, slow readers are cut off, probes tell the truth."""

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelservice_runtime.server import connection
from modelservice_runtime.tasks.generation import GenerationTask
from tests.runtime.support.server import RunningServer, running, wait_until

pytestmark = pytest.mark.torch

LONG = {"model": "tiny", "prompt": "the quick", "max_tokens": 200, "temperature": 1.0, "seed": 1}


@contextmanager
def before_decode(server: RunningServer, action: Callable[[], Any]) -> Iterator[None]:
    """Do something on the torch thread before each decode step."""
    task: Any = server.process.service.task
    runner = task.scheduler._runner
    decode = runner.decode
    runner.decode = lambda *arguments: (action(), decode(*arguments))[1]
    try:
        yield
    finally:
        runner.decode = decode


def ask(server: RunningServer, number: int) -> str:
    """Ask, and in half of the cases leave at a random moment; return what became of it."""
    rng = random.Random(number)
    body = {**LONG, "max_tokens": rng.randint(3, 12), "stream": number % 4 < 2, "n": rng.randint(1, 2)}
    leaves = number % 2 == 0
    timeout = rng.uniform(0.01, 0.2) if leaves else 60
    try:
        with server.http.stream("POST", "/v1/completions", json=body, timeout=timeout) as answer:
            for _ in answer.iter_lines():
                if leaves and rng.random() < 0.2:
                    return "left"
            return str(answer.status_code)
    except httpx.TimeoutException:
        return "left"


def test_no_slot_is_lost_when_half_of_the_clients_leave_at_random(decoder_folder: Path) -> None:
    sections = {"engine": {"max_concurrency": 4}}
    with running(decoder_folder, **sections) as server, before_decode(server, lambda: time.sleep(0.002)):
        with ThreadPoolExecutor(12) as pool:
            outcomes = list(pool.map(lambda number: ask(server, number), range(32)))
        wait_until(lambda: server.stats() == {"running": 0, "queued": 0}, "every slot is free")
        assert {outcome for number, outcome in enumerate(outcomes) if number % 2} == {"200"}
        assert "left" in outcomes
        assert server.post("/v1/completions", prompt="a", max_tokens=4).status_code == 200


def test_stream_is_cut_off_when_its_client_does_not_read(decoder_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STALL_SECONDS", 0.3)
    monkeypatch.setattr(connection, "SEND_BYTES", 4096)
    monkeypatch.setattr(connection, "WAITING_BYTES", 1024)
    body = {"model": "tiny", "prompt": "the", "max_tokens": 240, "n": 8, "temperature": 1.5, "seed": 1, "stream": True}
    content = json.dumps(body).encode()
    head = (
        f"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(content)}"
    )
    with running(decoder_folder) as server, before_decode(server, lambda: time.sleep(0.01)):
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server.port))
            client.sendall(head.encode() + b"\r\n\r\n" + content)
            wait_until(lambda: counted(server, "200") == 1, "the connection is cut")
            client.settimeout(10)
            received = b"".join(iter(lambda: client.recv(65536), b""))
        assert received.startswith(b"HTTP/1.1 200")
        assert b"[DONE]" not in received
        wait_until(lambda: server.stats() == {"running": 0, "queued": 0}, "its slots are free")
        assert 'cancelled_total{model="tiny",reason="disconnect"}' in server.admin.get("/metrics").text


def counted(server: RunningServer, code: str) -> int:
    """Return how many completions ended with a code."""
    start = f'inference_requests_total{{code="{code}",endpoint="/v1/completions"'
    return sum(
        int(float(line.rsplit(" ", 1)[1]))
        for line in server.admin.get("/metrics").text.splitlines()
        if line.startswith(start)
    )


def test_liveness_fails_while_the_torch_thread_hangs_and_probes_still_answer(decoder_folder: Path) -> None:
    gate = threading.Event()
    limits = {"hang_seconds": 2.0}
    with running(decoder_folder, limits=limits) as server, ThreadPoolExecutor(1) as pool:
        assert server.admin.get("/livez").status_code == 200
        with before_decode(server, lambda: gate.wait(60)):
            job = pool.submit(server.post, "/v1/completions", prompt="the", max_tokens=8)
            wait_until(lambda: server.admin.get("/livez").status_code == 503, "the hang is seen")
            assert "silent" in server.admin.get("/livez").text
            assert server.http.get("/v2/health/live").status_code == 503
            assert server.admin.get("/metrics").status_code == 200
            gate.set()
        assert job.result().status_code == 200
        assert server.admin.get("/livez").status_code == 200


def test_readiness_waits_for_the_warm_up(decoder_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    warm_up = GenerationTask.warm_up

    def slowly(task: GenerationTask) -> None:
        gate.wait(60)
        warm_up(task)

    monkeypatch.setattr(GenerationTask, "warm_up", slowly)
    server = RunningServer(decoder_folder)
    try:
        wait_until(lambda: state_of(server) == "warming", "the model is loaded", 60)
        assert [server.admin.get(path).status_code for path in ("/livez", "/readyz", "/startupz")] == [200, 503, 503]
        assert server.http.get("/v2/health/ready").status_code == 503
        assert server.http.get("/v2/models/tiny/ready").json() == {"name": "tiny", "ready": False}
        assert server.http.get("/v1/models/tiny").json()["ready"] is False
        refused = server.post("/v1/completions", prompt="a")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        gate.set()
        server.wait_ready()
        assert server.http.get("/v2/health/ready").json() == {"ready": True}
    finally:
        gate.set()
        server.stop()


def state_of(server: RunningServer) -> str:
    """Return the state, empty while nobody listens."""
    try:
        return str(server.admin.get("/status").json()["state"])
    except httpx.TransportError:
        return ""
