"""Shell completion: for `kubectl modelservice` by kubectl's own way for plugins, for `kubectl-modelservice` by click's.

kubectl runs `kubectl_complete-modelservice WORD...` where it is in the PATH, and reads candidates, each with a
description after a tab, and at the end a line with a directive: 0 lets the shell offer files as well, 4 does not.
"""

from collections.abc import Sequence
from typing import Final

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

PROGRAM: Final = "kubectl-modelservice"
VARIABLE: Final = "_KUBECTL_MODELSERVICE_COMPLETE"
"""The variable by which the shell's script asks the program for candidates."""
_FILES: Final = 0
_NO_FILES: Final = 4


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print the completion script of a shell for kubectl-modelservice.

    bash: source <(kubectl-modelservice completion bash)

    zsh: source <(kubectl-modelservice completion zsh)

    fish: kubectl-modelservice completion fish | source

    `kubectl modelservice` is completed by kubectl's own script, which finds kubectl_complete-modelservice in the PATH.
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  (the choice above)
    click.echo(kind(context.find_root().command, {}, PROGRAM, VARIABLE).source())
    return 0


def candidates(command: click.Command, words: Sequence[str]) -> tuple[list[CompletionItem], int]:
    """What the last of the words may become, and kubectl's directive."""
    *before, incomplete = words or [""]
    found = ShellComplete(command, {}, PROGRAM, VARIABLE).get_completions(list(before), incomplete)
    items = [item for item in found if item.type == "plain"]
    return items, _FILES if len(items) < len(found) else _NO_FILES


def tell(command: click.Command, words: Sequence[str]) -> str:
    """The candidates as kubectl reads them."""
    items, directive = candidates(command, words)
    lines = [f"{item.value}\t{item.help}" if item.help else str(item.value) for item in items]
    return "".join(f"{line}\n" for line in [*lines, f":{directive}"])
