"""The last word of the process: one JSON document on the container's termination message.

The operator reads it from the pod's status instead of parsing logs. The kubelet keeps 4096 bytes of it and cuts the
rest, which would leave broken JSON, so long texts are shortened here. Outside Kubernetes the file does not exist and
is not writable; then nothing is written, because the exit code and the log already say the same.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from modelservice_runtime.errors import ExitCode, Reason, RuntimeFault

TERMINATION_LOG: Final = "/dev/termination-log"
TERMINATION_LOG_VARIABLE: Final = "MODELSERVICE_TERMINATION_LOG"
MAX_BYTES: Final = 4096
MAX_TEXT: Final = 1024


@dataclass(frozen=True)
class LastWord:
    """How a command ended.

    `component` is fetch, collect, inspect, optimize or serve; `result` is what a success has to tell.
    """

    component: str
    reason: Reason
    message: str
    hint: str
    exit_code: int
    result: dict[str, Any] | None = None

    @classmethod
    def of_success(cls, component: str, message: str, result: dict[str, Any] | None = None) -> "LastWord":
        """Say that a command did what it was asked for."""
        return cls(component, Reason.COMPLETED, message, "", ExitCode.DONE, result)

    @classmethod
    def of_fault(cls, component: str, fault: RuntimeFault) -> "LastWord":
        """Say why a command gave up."""
        return cls(component, fault.reason, str(fault), fault.hint, int(fault.exit_code))

    def to_json(self) -> str:
        """Encode as one line of JSON that fits the kubelet's limit."""
        for limit in (MAX_TEXT, MAX_TEXT // 4):
            document = {
                "component": self.component,
                "reason": str(self.reason),
                "message": _shorten(self.message, limit),
                "hint": _shorten(self.hint, limit),
                "exitCode": self.exit_code,
                "result": self.result,
            }
            text = json.dumps(document)
            if len(text) <= MAX_BYTES:
                break
        return text


def write_last_word(word: LastWord) -> None:
    """Write the termination message; do nothing where no such file can be written."""
    path = Path(os.environ.get(TERMINATION_LOG_VARIABLE) or TERMINATION_LOG)
    try:
        path.write_text(word.to_json(), encoding="utf-8")
    except OSError:
        return


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
