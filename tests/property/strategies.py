"""Objects for the API server, made from the pydantic types: valid ones aimed at the limits, and mutations of them.

The types' own schema steers the generation, so that a new field or limit is covered without a change here. Few fields
are present at a time: each rule then gets objects in which nothing else is wrong.
"""

import copy
import re
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from modelservice_operator.api.names import API_VERSION
from modelservice_operator.api.v1alpha1 import ModelServiceSpec, RuntimeProfileSpec
from modelservice_operator.tools.structural import Schema, structural_schema

SCHEMAS = {"ModelService": structural_schema(ModelServiceSpec), "RuntimeProfile": structural_schema(RuntimeProfileSpec)}

_MATCHES = re.compile(r"self\.matches\(r?'([^']*)'\)")
_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
_TRAPS = (
    "",
    " ",
    "a\n",
    "\u00e9",
    "a/../b",
    "0",
    "0%",
    "100%",
    "101%",
    "-1",
    "1e3",
    "1.",
    ".5",
    "1Ki",
    "None",
    "a_b",
    "A",
    "x" * 300,
)
_ADDED = ("unknown", "replicas", "strategy", "name", "revision")
_URIS = (
    "hf://org/name",
    "hf://org/name@main",
    "https://host/path",
    "https://host/path?version=1",
    "pvc://claim/path",
    "oci://host/name:tag",
    "s3://bucket/path",
    "http://host/path",
)
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([2**31, 2**53, 1.5, 10**6, 65535]),
    st.sampled_from(_TRAPS),
    st.sampled_from(_URIS),
    st.sampled_from(["Recreate", "Canary", "External", "KEDA", "Node", "Shared", "QueueDepth", "int8"]),
    _TEXT,
    st.just([]),
    st.just({}),
    st.just([None]),
    st.just({"name": "x"}),
    st.just([{"name": "x"}, {"name": "x"}]),
)


def manifests(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of a kind, about half of them mutated once or twice."""
    spec = st.one_of(_values(SCHEMAS[kind]), _mutated(_values(SCHEMAS[kind])))
    name = st.one_of(
        st.just("chat"),
        st.sampled_from(["2a", "a" * 45, "a" * 46, "a.b"]),
        st.from_regex(r"[a-z]([-a-z0-9]{0,44}[a-z0-9])?", fullmatch=True),
    )
    return st.builds(
        lambda name, spec: {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec},
        name,
        spec,
    )


def _values(schema: Schema) -> st.SearchStrategy[Any]:
    if schema.get("x-kubernetes-int-or-string"):
        return st.one_of(
            st.sampled_from([0, 1, 2, 1000000]), st.sampled_from(["0%", "1%", "100%", "1", "500m", "16Gi", "1e3", ".5"])
        )
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return _BY_TYPE[schema["type"]](schema)


def _objects(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return st.dictionaries(st.sampled_from(["a", "b"]), st.one_of(st.none(), st.integers(0, 3), _TEXT), max_size=2)
    if "additionalProperties" in schema:
        key = st.sampled_from(["cpu", "memory", "a.b/c", "pool"])
        return st.dictionaries(key, _values(schema["additionalProperties"]), max_size=3)
    fields = {name: _values(field) for name, field in schema["properties"].items()}
    required = schema.get("required", [])
    optional = sorted(fields.keys() - set(required))
    chosen = st.lists(st.sampled_from(optional), max_size=3, unique=True) if optional else st.just([])
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: fields[name] for name in [*required, *names]}))


def _arrays(schema: Schema) -> st.SearchStrategy[list[Any]]:
    return st.lists(_values(schema["items"]), max_size=min(3, schema["maxItems"]))


def _strings(schema: Schema) -> st.SearchStrategy[str]:
    longest = schema["maxLength"]
    at_limit = st.sampled_from(["a" * longest, "a" * (longest + 1)])
    patterns = [
        found for rule in schema.get("x-kubernetes-validations", []) for found in _MATCHES.findall(rule["rule"])
    ]
    plain = [st.from_regex(re.sub(r"\$$", r"\\Z", pattern), alphabet=_ASCII) for pattern in patterns] or [_TEXT]
    if any("hf://" in pattern for pattern in patterns):
        return st.one_of(*[st.sampled_from(_URIS)] * 2 * len(plain), *plain)
    return st.one_of(*plain * 4, at_limit)


def _integers(schema: Schema) -> st.SearchStrategy[int]:
    lowest, highest = schema["minimum"], schema["maximum"]
    return st.one_of(
        st.sampled_from([lowest, highest, lowest - 1, highest + 1]), st.integers(lowest, min(highest, lowest + 5))
    )


_ASCII = st.characters(min_codepoint=32, max_codepoint=126)
_BY_TYPE: dict[str, Callable[[Schema], st.SearchStrategy[Any]]] = {
    "object": _objects,
    "array": _arrays,
    "string": _strings,
    "integer": _integers,
    "boolean": lambda _: st.booleans(),
}


@st.composite
def _mutated(draw: st.DrawFn, specs: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    spec = copy.deepcopy(draw(specs))
    for _ in range(draw(st.integers(1, 2))):
        holder, key = draw(st.sampled_from(list(_places(spec)) or [(spec, "image")]))
        action = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
        if action == "remove" and spec:
            del holder[key]
        elif action == "add" and isinstance(holder, dict):
            holder[draw(st.sampled_from(_ADDED))] = copy.deepcopy(draw(JUNK))
        else:
            holder[key] = copy.deepcopy(draw(JUNK))
    return spec


def _places(node: Any) -> Any:
    """Every (holder, key) in the object, so that a mutation can reach any depth."""
    entries = list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
    for key, value in entries:
        yield node, key
        yield from _places(value)
