import json
import logging
from collections.abc import Iterator

import pytest

from modelservice_operator.observability.logs import configure_logs


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_line_is_json_with_time_level_and_extras_when_logged(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("INFO")
    logging.getLogger("modelservice_operator.test").info("Stopped", extra={"drained": True, "k8s_ref": {"a": 1}})
    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (line["level"], line["message"], line["drained"]) == ("INFO", "Stopped", True)
    assert line["time"].endswith("+00:00")
    assert "k8s_ref" not in line


def test_library_chatter_is_left_out_when_the_level_is_info(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("INFO")
    logging.getLogger("kopf.activities").info("chatter")
    assert "chatter" not in capsys.readouterr().err


def test_trace_is_left_out_when_kopf_tells_an_error_that_is_told_again(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("INFO")
    for name in ("kopf._cogs", "modelservice_operator.app"):
        try:
            raise LookupError("gone")
        except LookupError:
            logging.getLogger(name).exception("failed")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines()[-2:])
    assert first["message"] == "failed"
    assert "exc_info" not in first
    assert "LookupError" in second["exc_info"]
