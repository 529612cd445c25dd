"""The entry point: `kubectl modelservice COMMAND`, or `kubectl-modelservice COMMAND`."""

import sys
from collections.abc import Sequence

import click

from modelservice_operator import __version__
from modelservice_operator.cli.completion import VARIABLE, completion, tell
from modelservice_operator.cli.doctor import doctor
from modelservice_operator.cli.draft import new
from modelservice_operator.cli.models import models
from modelservice_operator.cli.plan import plan
from modelservice_operator.cli.session import EXIT_ERROR
from modelservice_operator.cli.status import status
from modelservice_operator.cli.trial import try_
from modelservice_operator.cli.why import why

EXIT_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kubectl-modelservice")
def cli() -> None:
    """Ask about ModelServices. No command changes anything in the cluster."""


for command in (why, status, models, try_, plan, new, doctor, completion):
    cli.add_command(command)


def run(arguments: Sequence[str]) -> int:
    """Run a command; return the exit status. Wrong usage is an error like others, 1: 2 means changes."""
    try:
        result = cli.main(
            list(arguments), prog_name="kubectl modelservice", complete_var=VARIABLE, standalone_mode=False
        )
    except click.exceptions.Abort:
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return EXIT_ERROR
    return result if isinstance(result, int) else 0


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def complete() -> None:
    """The console script `kubectl_complete-modelservice`, which kubectl asks for the rest of a command line."""
    sys.stdout.write(tell(cli, sys.argv[1:]))


if __name__ == "__main__":
    main()
