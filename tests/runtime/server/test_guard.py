import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch

HEAD = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


@pytest.fixture(scope="module")
def server(decoder_folder: Path) -> Iterator[RunningServer]:
    limits = {"max_body_bytes": 4096, "body_seconds": 0.5, "max_connections": 8}
    with running(decoder_folder, limits=limits) as server:
        yield server


def connect(server: RunningServer, head: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    client.sendall(head)
    return client


def status_line(client: socket.socket) -> bytes:
    return client.recv(65536).split(b"\r\n", 1)[0]


def test_body_is_refused_when_its_length_is_too_large(server: RunningServer) -> None:
    response = server.post("/v1/completions", prompt="a" * 5000)
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "body_too_large"


def test_body_is_refused_when_its_chunks_grow_too_large(server: RunningServer) -> None:
    response = server.http.post("/v1/completions", content=(b"a" * 1000 for _ in range(10)))
    assert response.status_code == 413


def test_dripping_client_is_cut_off_and_disturbs_nobody(server: RunningServer) -> None:
    with connect(server, HEAD + b"content-length: 1000\r\n\r\n{") as client:
        began = time.monotonic()
        assert server.post("/v1/completions", prompt="a", max_tokens=4).status_code == 200
        client.settimeout(5)
        assert status_line(client) == b"HTTP/1.1 408 Request Timeout"
        assert time.monotonic() - began < 3


def test_requests_above_the_bound_get_503_and_the_server_recovers(server: RunningServer) -> None:
    held = [connect(server, HEAD + b"content-length: 1000\r\n\r\n{") for _ in range(8)]
    time.sleep(0.1)
    response = server.post("/v1/completions", prompt="a", max_tokens=4)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    for client in held:
        assert b"408" in status_line(client)
        client.close()
    assert server.post("/v1/completions", prompt="a", max_tokens=4).status_code == 200


def test_connection_is_closed_when_its_headers_never_come(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelservice_runtime.server.connection.HEADER_SECONDS", 0.3)
    with connect(server, b"POST /v1/comp") as client:
        client.settimeout(5)
        assert client.recv(1) == b""


def test_nothing_of_a_body_is_in_an_error_or_a_log(server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    canary = "canary-7f3a"
    answers = [
        server.post("/v1/completions", prompt=canary, temperature=canary).text,
        server.post("/v1/completions", prompt=[canary, 1]).text,
        server.post("/v1/completions", prompt=canary, max_tokens=9999).text,
        server.post("/v1/completions", prompt=canary, max_tokens=4).json()["id"],
        server.admin.get("/metrics").text,
        server.admin.get("/status").text,
    ]
    assert not any(canary in answer for answer in answers)
    assert canary not in caplog.text
