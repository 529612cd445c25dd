"""The threat model claims nothing without a test, and names none that is not there."""

import ast
import re
from functools import cache

import pytest

from modelservice_operator.tools.drift import repository_root

PAGE = repository_root() / "operator" / "docs" / "threat-model.md"
PREVENTED = "## What is prevented, and by which test"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def claims() -> list[list[str]]:
    """The rows of the tables of what is prevented, as cells, without headings and rules."""
    section = PAGE.read_text().partition(f"{PREVENTED}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return [row for row in rows if row[0] != "threat" and not set(row[0]) <= {"-"}]


@cache
def functions_of(path: str) -> frozenset[str]:
    """The functions that stand in a file at its top."""
    tree = ast.parse((repository_root() / path).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("row", claims(), ids=lambda row: row[0])
def test_every_claim_names_tests_that_exist(row: list[str]) -> None:
    _, _, shown_by = row
    named = _TEST.findall(shown_by)
    assert named, "no test is named"
    assert _TEST.sub("", shown_by).strip(", ") == "", "something else than tests is named"
    assert [f"{path}::{name}" for path, name in named if name not in functions_of(path)] == []


def test_page_has_its_parts() -> None:
    text = PAGE.read_text()
    for heading in ("## Assets", "## Actors", "## Boundaries", PREVENTED, "## What is not prevented"):
        assert f"\n{heading}\n" in text
    assert len(claims()) > 20
