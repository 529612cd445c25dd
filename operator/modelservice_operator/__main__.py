"""`modelservice-operator`: `run`, `metrics-adapter`, `activator` and `version`."""

import argparse
import sys
from collections.abc import Mapping, Sequence

from modelservice_operator import __version__
from modelservice_operator.activator.settings import ActivatorSettings
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
    activator = commands.add_parser("activator", help="hold requests of ModelServices that have no pod, and start one")
    add_flags(activator, ActivatorSettings)
    commands.add_parser("version", help="print the version")
    arguments = vars(parser.parse_args(argv))
    command = arguments.pop("command")
    if command == "version":
        print(__version__)
        return 0
    try:
        return _COMMANDS[command](arguments)
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


def _activate(flags: Mapping[str, str | None]) -> int:
    settings = load(ActivatorSettings, flags)

    from modelservice_operator.activator.app import serve  # noqa: PLC0415  (heavy, as above)

    return serve(settings)


_COMMANDS = {"run": _operate, "metrics-adapter": _adapt, "activator": _activate}


if __name__ == "__main__":
    sys.exit(main())
