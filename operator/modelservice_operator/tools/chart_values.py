"""The chart's values as values.yaml describes them, and their schema.

The comments in values.yaml are the source of the schema and of the documentation. Their grammar is small, so that the
file stays one for people:

- `# -- text` above a key makes it one row of the table and describes it; the key's value may be a whole map or list.
- `# @schema {...}` after it is JSON merged into what the default value says about the type.
- `# text` above a key without `# --` describes a group, whose keys follow. Groups accept no unknown keys.

Profiles are checked by Helm with the schema of the RuntimeProfile itself, taken from the generated definition, so
that a typing error is told before anything reaches the cluster.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

PROFILES: Final = "profiles"
KEY: Final = re.compile(r"^(?P<indent> *)(?P<name>[A-Za-z][A-Za-z0-9]*):")
TYPES: Final = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


class ValuesError(ValueError):
    """values.yaml does not follow the grammar of this module."""


@dataclass(frozen=True)
class Entry:
    """One described key: a row of the table, or a group of them."""

    path: tuple[str, ...]
    description: str
    default: Any
    is_group: bool
    constraints: Mapping[str, Any] = field(default_factory=dict)


def read_entries(text: str) -> list[Entry]:
    """The described keys in the order of the file.

    Raises:
        ValuesError: a key has no description, so that a reader of the table would miss it.
    """
    values = yaml.safe_load(text)
    entries: list[Entry] = []
    row: tuple[str, ...] | None = None
    for path, comments in walk_keys(text):
        if row is not None and path[: len(row)] == row:
            continue
        entry = describe(path, comments, values)
        entries.append(entry)
        row = None if entry.is_group else path
    return entries


def walk_keys(text: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Each key's path with the comment lines directly above it."""
    stack: list[tuple[int, str]] = []
    comments: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comments.append(stripped.lstrip("#").strip())
            continue
        match = KEY.match(line)
        if match:
            indent = len(match["indent"])
            stack = [level for level in stack if level[0] < indent]
            stack.append((indent, match["name"]))
            yield tuple(name for _, name in stack), comments
        comments = []


def describe(path: tuple[str, ...], comments: Sequence[str], values: Any) -> Entry:
    """The entry that the comments above a key make of it."""
    default = values
    for name in path:
        default = default[name]
    constraints: dict[str, Any] = {}
    words: list[str] = []
    for comment in comments:
        if comment.startswith("@schema"):
            constraints |= json.loads(comment.removeprefix("@schema"))
        else:
            words.append(comment)
    is_group = not any(word.startswith("--") for word in words)
    description = " ".join(word.removeprefix("--").strip() for word in words)
    if not description:
        raise ValuesError(f"values.yaml: {'.'.join(path)} has no comment: describe it with `# -- text`")
    return Entry(path, description, default, is_group, constraints)


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A definition's schema as Helm can use it: without Kubernetes' extensions, and refusing unknown keys."""
    kept = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-")}
    if "properties" in kept:
        kept["properties"] = {name: closed(each) for name, each in kept["properties"].items()}
        kept.setdefault("additionalProperties", schema.get("x-kubernetes-preserve-unknown-fields", False))
    elif isinstance(kept.get("additionalProperties"), Mapping):
        kept["additionalProperties"] = closed(kept["additionalProperties"])
    if "items" in kept:
        kept["items"] = closed(kept["items"])
    return kept


def profile_schema(crd: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of one profile in the values: the `spec` of a RuntimeProfile."""
    version = crd["spec"]["versions"][0]
    spec: Mapping[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return closed(spec)


def render_schema(entries: Sequence[Entry], profile: Mapping[str, Any]) -> str:
    """values.schema.json."""
    shared = {"description": "Values that a parent chart shares with its parts; unused here.", "type": "object"}
    root: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the chart modelservice",
        "type": "object",
        "additionalProperties": False,
        "properties": {"global": shared},
    }
    for entry in entries:
        parent = root
        for name in entry.path[:-1]:
            parent = parent["properties"][name]
        node: dict[str, Any] = {"description": entry.description, "type": TYPES[type(entry.default)]}
        if entry.is_group:
            node |= {"additionalProperties": False, "properties": {}}
        elif entry.path == (PROFILES,):
            node["additionalProperties"] = dict(profile)
        parent["properties"][entry.path[-1]] = node | dict(entry.constraints)
    return json.dumps(root, indent=2) + "\n"
