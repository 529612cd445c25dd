"""Which test proves which field of the spec.

The fields are the leaves of the schema that the CRD carries. A proof is a row of `proofs.py`, or a test with
`@pytest.mark.field("rollout.autoRollback", ...)`, read from the source as Python reads it; no name is guessed from.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tests.fields.proofs import PROOFS

ROOT: Final = Path(__file__).parents[2]
CRD: Final = ROOT / "crds" / "modelservice.dev_modelservices.yaml"
ROWS: Final = "tests/fields/test_proofs.py::test_child_has_what_the_field_asks_for"

Schema = Mapping[str, Any]


def spec_fields() -> list[str]:
    """The leaves of spec, in the order of the schema: `model.uri`, `runtime.env[].name`."""
    crd = yaml.safe_load(CRD.read_text(encoding="utf-8"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return list(_leaves(schema, ""))


def _leaves(schema: Schema, path: str) -> Iterator[str]:
    inner = schema.get("properties") or {}
    if not inner and "properties" in (schema.get("items") or {}):
        inner, path = schema["items"]["properties"], f"{path}[]"
    if not inner:
        yield path
    for name, each in inner.items():
        yield from _leaves(each, f"{path}.{name}" if path else name)


def proofs() -> dict[str, list[str]]:
    """The tests of each field that any test claims to prove."""
    found: dict[str, list[str]] = defaultdict(list)
    for proof in PROOFS:
        for name in proof.fields:
            found[name].append(f"{ROWS}[{proof.fields[0]}]")
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for test, name in _marked(ast.parse(path.read_text(encoding="utf-8"))):
            found[name].append(f"{path.relative_to(ROOT)}::{test}")
    return found


def _marked(module: ast.Module) -> Iterator[tuple[str, str]]:
    """The tests of a module with the fields of their marks."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.field":
                    yield from ((node.name, ast.literal_eval(argument)) for argument in decorator.args)


def problems(fields: list[str], proven: Mapping[str, list[str]]) -> list[str]:
    """Fields without a test, and tests of fields that the schema does not have."""
    missing = [
        f"spec.{name}: no test proves it; add a row to tests/fields/proofs.py" for name in fields if name not in proven
    ]
    unknown = [
        f"spec.{name}: {tests[0]} proves it and the schema has no such field"
        for name, tests in proven.items()
        if name not in fields
    ]
    return missing + unknown


def table(fields: list[str], proven: Mapping[str, list[str]]) -> str:
    """The fields and their tests, as Markdown."""
    rows = [f"| `spec.{name}` | {'<br>'.join(f'`{test}`' for test in proven.get(name, ()))} |" for name in fields]
    return "\n".join(["| field | proven by |", "| --- | --- |", *rows])
