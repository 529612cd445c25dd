"""What a preflight found behind one source, and the three places where it stands: message, status, Deployment.

The status tells people and lasts longer than the Job. The Deployment's annotation keeps the same, because the revision
and the size are in its pod template: a status that is lost must not make other pods.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic.alias_generators import to_camel

from ..api.names import PREFLIGHT
from .tree import Tree, branch, number, text

_TEXTS = ("resolvedRevision", "format", "architecture", "task", "dtype")
_COUNTS = ("sizeBytes", "parameters", "maxContext", "cacheValuesPerToken")


@dataclass(frozen=True, slots=True)
class Inspection:
    """A model as its headers describe it; 0 and the empty text stand for what they do not tell.

    `source` is the digest of what was asked for, `size_bytes` counts the weights, and `cache_values_per_token` the
    numbers that one token of context takes in the KV cache. `unknown_architecture` says that the runtime's image has
    none of the name.
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

    @classmethod
    def read(cls, source: str, result: Tree) -> "Inspection":
        """Read what `inspect` left on the termination message, or what `report` made of it."""
        found: dict[str, Any] = {snake(key): text(result, key) for key in _TEXTS}
        found |= {snake(key): max(0, number(result, key)) for key in _COUNTS}
        unknown = result.get("architectureKnown") is False or result.get("unknownArchitecture") is True
        return cls(source, unknown_architecture=unknown, **found)

    def report(self) -> dict[str, Any]:
        """As the status and the annotation have it; what is not known is absent."""
        return {to_camel(key): value for key, value in asdict(self).items() if value}


def snake(key: str) -> str:
    """The Python name of a JSON key."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)


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
