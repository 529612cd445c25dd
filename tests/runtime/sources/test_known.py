"""What the library has is known without importing it, and what cannot be told is not claimed."""

import subprocess
import sys

import pytest

from modelservice_runtime.sources import known
from modelservice_runtime.sources.known import is_known


@pytest.mark.parametrize(
    ("model_type", "answer"),
    [("llama", True), ("bert", True), ("whisper", True), ("gpt-sw3", True), ("no-such-model", False), ("", None)],
)
def test_model_types_of_the_library_are_known(model_type: str, answer: bool | None) -> None:
    assert is_known(model_type) is answer


def test_nothing_is_claimed_when_the_library_has_no_such_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "TABLES", ("elsewhere.py",))
    assert is_known("no-such-model") is None


def test_library_is_not_imported() -> None:
    code = (
        "import sys; from modelservice_runtime.sources.known import is_known; is_known('llama'); "
        "sys.exit('transformers' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
