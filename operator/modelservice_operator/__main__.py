"""`modelservice-operator run`, `modelservice-operator metrics-adapter` and `modelservice-operator version`."""

import argparse
import sys
from collections.abc import Mapping, Sequence

from modelservice_operator import __version__
from modelservice_operator.metrics_adapter.settings import AdapterSettings
from modelservice_operator.settings import BadSettings, add_flags, load, load_settings

EXIT_BAD_SETTINGS = 64


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="modelservice-operator", description="Serves models on Kubernetes.")
    commands = parser.add_subparsers(dest="command", required=True)
    add_flags(commands.add_parser("run", help="watch ModelServices and make them true"))
    adapter = commands.add_parser("metrics-adapter", help="serve custom.metrics.k8s.io for the pods of ModelServices")
    add_flags(adapter, AdapterSettings)
    commands.add_parser("version", help="print the version")
    arguments = vars(parser.parse_args(argv))
    command = arguments.pop("command")
    if command == "version":
        print(__version__)
        return 0
    try:
        return _adapt(arguments) if command == "metrics-adapter" else _operate(arguments)
    except BadSettings as error:
        print(f"modelservice-operator: {error}", file=sys.stderr)
        return EXIT_BAD_SETTINGS


def _operate(flags: Mapping[str, str | None]) -> int:
    settings = load_settings(flags)

    from modelservice_operator.app import serve  # noqa: PLC0415  (heavy: `version` and errors answer at once)

    return serve(settings)


def _adapt(flags: Mapping[str, str | None]) -> int:
    settings = load(AdapterSettings, flags)

    from modelservice_operator.metrics_adapter.app import serve  # noqa: PLC0415  (heavy, as above)

    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
