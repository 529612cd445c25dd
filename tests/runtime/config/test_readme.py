"""The README lists every setting as the schema has it."""

from modelservice_runtime.errors import ExitCode
from tests.runtime.config.table import README, with_table


def test_readme_shows_the_settings_of_the_schema() -> None:
    text = README.read_text(encoding="utf-8")
    assert text == with_table(text), "run `python -m tests.runtime.config.table`"


def test_readme_lists_every_exit_code() -> None:
    text = README.read_text(encoding="utf-8")
    assert all(f"| {code.value} |" in text for code in ExitCode)
