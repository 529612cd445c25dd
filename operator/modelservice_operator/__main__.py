"""`modelservice-operator run` and `modelservice-operator version`."""

import argparse
import sys
from collections.abc import Sequence

from modelservice_operator import __version__
from modelservice_operator.settings import BadSettings, add_flags, load_settings

EXIT_BAD_SETTINGS = 64


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="modelservice-operator", description="Serves models on Kubernetes.")
    commands = parser.add_subparsers(dest="command", required=True)
    add_flags(commands.add_parser("run", help="watch ModelServices and make them true"))
    commands.add_parser("version", help="print the version")
    arguments = vars(parser.parse_args(argv))
    if arguments.pop("command") == "version":
        print(__version__)
        return 0
    try:
        settings = load_settings(arguments)
    except BadSettings as error:
        print(f"modelservice-operator: {error}", file=sys.stderr)
        return EXIT_BAD_SETTINGS

    from modelservice_operator.app import serve  # noqa: PLC0415  (heavy: `version` and errors answer at once)

    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
