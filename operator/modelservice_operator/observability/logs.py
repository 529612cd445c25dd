"""Logs: one JSON object a line on standard error, with UTC timestamps.

What is logged about an object is its key and what happened to it, never its spec: environment values and secrets
cannot leak.
"""

import logging
import sys

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_UNWANTED = ("k8s_ref", "k8s_skip", "settings", "taskName")
"""Extras of kopf that hold whole references, and a name that says nothing."""
_NOISY = ("aiohttp.access", "asyncio", "kubernetes")


def _formatter() -> logging.Formatter:
    formatter: logging.Formatter = JsonFormatter(
        "%(levelname)s %(name)s %(message)s",
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp="time",
        reserved_attrs=[*RESERVED_ATTRS, *_UNWANTED],
    )
    return formatter


def _without_trace_of_kopf(record: logging.LogRecord) -> bool:
    """Take away how kopf came to an error that ends a stream: who catches it tells it again, handled or not."""
    if record.name.split(".")[0] == "kopf":
        record.exc_info = record.exc_text = None
    return True


def configure_logs(level: str) -> None:
    """Send everything of `level` and above to standard error; kopf and the libraries only from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter())
    handler.addFilter(_without_trace_of_kopf)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("kopf").setLevel(logging.DEBUG if level == "DEBUG" else logging.WARNING)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
