"""Notes on objects: what the operator has to know again after a restart stands in annotations, most of it as JSON."""

import json
from collections.abc import Mapping
from typing import Any

from .tree import Tree, text


def read_note(body: Tree, annotation: str) -> Tree:
    """What an annotation says as JSON; empty when it is not there, or does not say an object."""
    try:
        found = json.loads(text(body, "metadata", "annotations", annotation) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}


def as_note(value: Mapping[str, Any]) -> str:
    """The text of an annotation, the same for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def annotated(manifest: Mapping[str, Any], notes: Mapping[str, str]) -> Mapping[str, Any]:
    """The manifest with annotations more."""
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), **notes}}}
