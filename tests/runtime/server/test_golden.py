"""The golden request: nobody is served before it is answered as expected, and a wrong answer ends the process."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from modelservice_runtime.errors import ExitCode, NotVerified, Reason
from modelservice_runtime.server.golden import is_expected
from modelservice_runtime.tasks.generation import GenerationTask
from tests.runtime.server.test_semantics import state_of
from tests.runtime.support.server import RunningServer, running, wait_until

pytestmark = pytest.mark.torch

BODY = {"model": "tiny", "prompt": "the quick", "max_tokens": 12, "temperature": 0}


def golden(expect: str, **more: Any) -> dict[str, Any]:
    return {"path": "/v1/completions", "body": json.dumps(BODY), "expect": expect, **more}


@pytest.fixture(scope="module")
def answer(decoder_folder: Path) -> str:
    """What the model answers greedily."""
    with running(decoder_folder) as server:
        text: str = server.http.post("/v1/completions", json=BODY).json()["choices"][0]["text"]
    assert len(text) > 8
    return text


def test_clients_are_served_once_the_golden_request_is_answered(
    decoder_folder: Path, answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    prepare = GenerationTask.prepare

    def slowly(task: GenerationTask, request: Any) -> Any:
        gate.wait(60)
        return prepare(task, request)

    monkeypatch.setattr(GenerationTask, "prepare", slowly)
    (tmp_path / "keys").write_text("alice:0123456789abcdef")
    security = {"api_key_file": str(tmp_path / "keys")}
    server = RunningServer(decoder_folder, verification=golden(answer), security=security)
    server.http.headers["authorization"] = "Bearer 0123456789abcdef"
    try:
        wait_until(lambda: state_of(server) == "verifying", "the golden request is asked", 60)
        assert [server.admin.get(path).status_code for path in ("/livez", "/readyz", "/startupz")] == [200, 503, 503]
        assert server.post("/v1/completions", prompt="a").json()["error"]["code"] == "not_ready"
        gate.set()
        server.wait_ready()
        assert server.http.post("/v1/completions", json=BODY).json()["choices"][0]["text"] == answer
    finally:
        gate.set()
        server.stop()


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (golden("Paris"), "should have answered 'Paris' and answered"),
        ({"path": "/v1/completions", "body": '{"model": "other", "prompt": "a"}'}, "answered with 404"),
        ({"path": "/v1/nothing?a=%2F"}, "answered with 404"),
    ],
)
def test_process_ends_when_the_answer_is_another(decoder_folder: Path, request_: Mapping[str, Any], words: str) -> None:
    server = RunningServer(decoder_folder, verification=request_)
    server.join()
    assert isinstance(server.error, NotVerified)
    assert (server.error.exit_code, server.error.reason) == (ExitCode.NOT_VERIFIED, Reason.GOLDEN_REQUEST_FAILED)
    assert words in str(server.error)
    assert server.error.hint


def test_process_ends_when_the_answer_is_late(decoder_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(GenerationTask, "prepare", lambda task, request: gate.wait(60))
    server = RunningServer(decoder_folder, verification=golden("", timeout_seconds=0.05))
    wait_until(lambda: server.error is not None or not server.alive, "the end", 60)
    gate.set()
    server.join()
    assert isinstance(server.error, NotVerified)
    assert "not answered within 0.05 s" in str(server.error)


@pytest.mark.parametrize(
    ("text", "expect", "expected"),
    [
        ("plain Paris.", "Paris", True),
        ('{"choices": [{"text": "\\"Paris\\" \\u00e9"}]}', '"Paris" é', True),
        ('{"data": [0.125, 2]}', "0.125", True),
        ('{"text": "Lyon"}', "Paris", False),
        ("not json {", "Paris", False),
        ("", "", True),
    ],
)
def test_expected_text_is_found_in_text_and_in_json(text: str, expect: str, expected: bool) -> None:
    assert is_expected(text, expect) is expected
