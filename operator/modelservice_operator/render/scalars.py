"""Values as YAML that cannot be misread: JSON, which YAML contains, with every unusual character escaped.

Jinja's own `tojson` is made for HTML. YAML differs from JSON in three places that matter here: it reads a surrogate
pair as two broken characters, it takes some Unicode characters for line breaks, and it takes `1e+20` for text.
"""

import json
import re
from typing import Any, Final

_UNUSUAL: Final = re.compile(r"[^\x20-\x7e]")
_BARE_EXPONENT: Final = re.compile(r"(-?[0-9]+)e")


def to_json(value: Any) -> str:
    """Write a value on one line, keys sorted. Raises TypeError for what JSON cannot hold, ValueError for NaN."""
    return _UNUSUAL.sub(_escape, _encode(value))


def _encode(value: Any) -> str:
    if isinstance(value, dict):
        items = (f"{_encode(str(key))}: {_encode(value[key])}" for key in sorted(value))
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_encode, value)) + "]"
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _BARE_EXPONENT.sub(r"\1.0e", text) if isinstance(value, float) else text


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
