"""Every field of the spec has a test, and a field without one is noticed."""

import ast

from tests.fields.coverage import _marked, problems, proofs, spec_fields, table


def test_every_field_of_the_spec_has_a_test() -> None:
    assert problems(spec_fields(), proofs()) == []


def test_field_without_a_test_and_test_without_a_field_are_named() -> None:
    proven = {"a.b": ["one"], "gone": ["two"]}
    missing, unknown = problems(["a.b", "c[].d"], proven)
    assert missing.startswith("spec.c[].d: no test proves it")
    assert unknown.startswith("spec.gone: two proves it")
    assert "| `spec.a.b` | `one` |\n| `spec.c[].d` |  |" in table(["a.b", "c[].d"], proven)


def test_marks_are_read_as_python_reads_them() -> None:
    source = """
@pytest.mark.field("a", "b" "c")
@pytest.mark.timeout(3)
async def test_one(): ...
@pytest.mark.fields("d")
def test_two(): ...
# @pytest.mark.field("e")
def test_three(): "pytest.mark.field('f')"
"""
    assert list(_marked(ast.parse(source))) == [("test_one", "a"), ("test_one", "bc")]
