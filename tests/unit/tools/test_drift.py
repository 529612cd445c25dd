"""Generated files are written when they differ, and reported with a diff when only checked."""

from pathlib import Path

import pytest

from modelservice_operator.tools.drift import publish, repository_root


def test_a_missing_file_is_written_with_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b.yaml"
    assert publish({file: "x: 1\n"}, check=False, command="make it") == 0
    assert file.read_text() == "x: 1\n"


def test_a_check_reports_the_difference_and_changes_nothing_when_a_file_is_stale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "b.yaml"
    file.write_text("x: 1\n")
    assert publish({file: "x: 2\n"}, check=True, command="make it") == 1
    assert file.read_text() == "x: 1\n"
    said = capsys.readouterr().err
    assert "-x: 1\n+x: 2\n" in said
    assert "make it" in said


def test_a_check_is_content_when_every_file_is_current(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "b.yaml"
    file.write_text("x: 1\n")
    assert publish({file: "x: 1\n"}, check=True, command="make it") == 0
    assert capsys.readouterr() == ("", "")


def test_the_root_is_the_checkout() -> None:
    assert (repository_root() / "kind-config.yaml").is_file()
