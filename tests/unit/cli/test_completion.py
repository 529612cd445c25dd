"""Shell completion."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from modelservice_operator.cli.__main__ import cli, run
from modelservice_operator.cli.completion import VARIABLE, tell

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["wh"], "why\tTell why a ModelService is not ready, with..."),
        (["why", "chat", "--out"], "--output\tHow to print."),
        (["why", "-o", "j"], "json"),
        (["completion", ""], "fish"),
    ],
)
def test_candidates_are_told_as_kubectl_reads_them(words: list[str], line: str) -> None:
    *lines, directive = tell(cli, words).splitlines()
    assert line in lines
    assert directive == ":4"


def test_files_are_offered_where_a_file_is_wanted() -> None:
    assert tell(cli, ["plan", "-f", ""]).endswith(":4\n")
    assert tell(cli, ["new", "-f", ""]).endswith(":0\n")


def test_nothing_is_offered_when_there_is_no_cluster_to_ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert tell(cli, ["why", ""]) == ":4\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_of_a_shell_asks_by_our_variable(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert f"{VARIABLE}={shell}_complete" in capsys.readouterr().out


def test_program_answers_the_script() -> None:
    environment = {"PYTHONPATH": str(ROOT / "operator"), "COMP_WORDS": "kubectl-modelservice do", "COMP_CWORD": "1"}
    command = [sys.executable, "-m", "modelservice_operator.cli"]
    environment |= {VARIABLE: "bash_complete", "PATH": "/usr/bin:/bin"}
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert answer.stdout == "plain,doctor\n"


def test_every_command_has_a_help_that_says_what_it_does() -> None:
    assert isinstance(cli, click.Group)
    assert all(command.get_short_help_str() for command in cli.commands.values())
