"""Logs on standard error: one JSON object a line for machines, or plain text for people.

Whatever the process imports logs through the standard library, so one handler on the root logger formats all of it.
Values that belong to an event go into `extra`, where they stay numbers; bodies of requests and credentials are never
logged. That is why the failure of a request is logged by `log_failure`: libraries put what they choked on into the
messages of their exceptions.
"""

import logging
import sys
import traceback
from typing import Literal

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

QUIET = ("httpx", "httpcore", "huggingface_hub", "filelock", "urllib3")
FIELDS = "{levelname}{name}{message}"
NOISE = ("color_message",)  # uvicorn repeats each message with terminal colours
NAMES = {"levelname": "level", "name": "logger"}


def configure_logging(level: str = "info", style: Literal["json", "text"] = "json") -> None:
    """Send all logs of `level` and above to standard error; chatty libraries speak from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    if style == "json":
        hidden = [*RESERVED_ATTRS, *NOISE]
        handler.setFormatter(
            JsonFormatter(FIELDS, style="{", rename_fields=NAMES, timestamp="time", reserved_attrs=hidden)
        )
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)


def log_failure(logger: logging.Logger, event: str, error: BaseException | None) -> None:
    """Log what failed and where, by types and places, without the messages of the exceptions."""
    kinds, frames = [], []
    while error is not None:
        kinds.append(f"{type(error).__module__}.{type(error).__qualname__}")
        found = traceback.extract_tb(error.__traceback__)
        frames += [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in found]
        error = error.__cause__
    logger.error(event, extra={"error": kinds, "frames": frames})
