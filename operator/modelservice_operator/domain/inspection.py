"""What a preflight found behind one source, and the three places where it stands: message, status, Deployment.

The status tells people and lasts longer than the Job. The Deployment's annotation keeps the same, because the revision
and the size are in its pod template: a status that is lost must not make other pods.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from pydantic.alias_generators import to_camel

from ..api.names import PREFLIGHT
from .tree import Tree, branch, number, text

_TEXTS: Final = {name: to_camel(name) for name in ("resolved_revision", "format", "architecture", "task", "dtype")}
_COUNTS: Final = {
    name: to_camel(name) for name in ("size_bytes", "parameters", "max_context", "cache_values_per_token")
}


@dataclass(frozen=True, slots=True)
class Inspection:
    """A model as its headers describe it; 0 and the empty text stand for what they do not tell.

    `source` is the digest of what was asked for, `size_bytes` counts the weights, and `cache_values_per_token` the
    numbers that one token of context takes in the KV cache. `unknown_architecture` says that the runtime's image has
    none of the name, `needs_remote_code` that the configuration refers to code that comes with the model.
    """

    source: str
    resolved_revision: str = ""
    format: str = ""
    architecture: str = ""
    task: str = ""
    dtype: str = ""
    size_bytes: int = 0
    parameters: int = 0
    max_context: int = 0
    cache_values_per_token: int = 0
    unknown_architecture: bool = False
    needs_remote_code: bool = False

    @classmethod
    def read(cls, source: str, result: Tree) -> "Inspection":
        """Read what `inspect` left on the termination message, or what `report` made of it."""
        found: dict[str, Any] = {field: text(result, key) for field, key in _TEXTS.items()}
        found |= {field: max(0, number(result, key)) for field, key in _COUNTS.items()}
        unknown = result.get("architectureKnown") is False or result.get("unknownArchitecture") is True
        needs_code = result.get("needsRemoteCode") is True
        return cls(source, unknown_architecture=unknown, needs_remote_code=needs_code, **found)

    def report(self) -> dict[str, Any]:
        """As the status and the annotation have it; what is not known is absent."""
        values = ((key, getattr(self, field)) for field, key in _KEYS.items())
        return {key: value for key, value in values if value}


_KEYS: Final = {field.name: to_camel(field.name) for field in fields(Inspection)}


def recorded(source: str, status: Mapping[str, Any], deployment: Tree) -> Inspection | None:
    """What is known of a source from earlier: the status says it, or the Deployment that serves it."""
    for record in (branch(status, "preflight"), annotation_of(deployment)):
        if text(record, "source") == source:
            return Inspection.read(source, record)
    return None


def annotation_of(deployment: Tree) -> Tree:
    """What the Deployment says of the preflight of its pods."""
    try:
        record = json.loads(text(branch(deployment, "metadata", "annotations"), PREFLIGHT))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
