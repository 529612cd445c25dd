"""The command line: `modelservice-runtime serve | fetch | inspect | optimize`.

Every command ends in the same way: the outcome goes to the log, to the container's termination message as one JSON
document, and into the exit code. Nothing heavy is imported here; each command imports what it needs.
"""

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from modelservice_runtime import __version__
from modelservice_runtime.errors import BadSettings, EngineFault, ExitCode, RuntimeFault, SourceUnavailable
from modelservice_runtime.observability.logging import configure_logging
from modelservice_runtime.preparing.command import add_optimize, optimize
from modelservice_runtime.termination import LastWord, write_last_word

log = logging.getLogger("modelservice_runtime")

Command = Callable[[argparse.Namespace], LastWord]


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are faults like all others."""

    def error(self, message: str) -> NoReturn:
        raise BadSettings(message, hint=f"see `{self.prog} --help`")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    component = next((name for name in COMMANDS if name in given), "serve")
    configure_logging()
    try:
        options = _parse(given)
        return _finish(COMMANDS[options.command](options))
    except RuntimeFault as fault:
        return _finish(LastWord.of_fault(component, fault))
    except Exception as error:
        log.exception("unexpected error")
        return _finish(LastWord.of_fault(component, EngineFault(f"{type(error).__name__}: {error}")))


def _finish(word: LastWord) -> int:
    details = {"reason": str(word.reason), "exitCode": int(word.exit_code)}
    if word.exit_code == ExitCode.DONE:
        log.info(word.message, extra=details)
    else:
        log.error(word.message, extra={**details, "hint": word.hint})
    write_last_word(word)
    return int(word.exit_code)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog="modelservice-runtime", description="Serve, fetch, inspect and optimize models.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="serve a model over HTTP", allow_abbrev=False))
    _add_fetch(commands.add_parser("fetch", help="bring a model into a folder", allow_abbrev=False))
    _add_collect(commands.add_parser("collect", help="remove what no service uses from a cache", allow_abbrev=False))
    _add_inspect(commands.add_parser("inspect", help="tell what a model is", allow_abbrev=False))
    add_optimize(commands.add_parser("optimize", help="make a smaller or faster model of one", allow_abbrev=False))
    return parser.parse_args(arguments)


def _add_serve(parser: argparse.ArgumentParser) -> None:
    from modelservice_runtime.config import SETTINGS_PATH, Settings, flag_name, section_fields  # noqa: PLC0415

    parser.add_argument("model", nargs="?", default="", metavar="FOLDER_OR_URI", help="overrides model.path")
    parser.add_argument("--settings", type=Path, metavar="FILE", help=f"settings file (default: {SETTINGS_PATH})")
    parser.add_argument("--print-config", action="store_true", help="print the merged settings as YAML and exit")
    for section in Settings.model_fields:
        group = parser.add_argument_group(section)
        for key, info in section_fields(section).items():
            group.add_argument(
                flag_name(section, key),
                dest=f"{section}.{key}",
                metavar=key.upper(),
                help=f"{info.description} (default: {info.default!r})".replace("%", "%%"),
            )


def _add_fetch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "uri", metavar="URI", help="hf://ORG/NAME, https://HOST/PATH, or s3://, gs:// or az://BUCKET/FOLDER"
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder to fill")
    parser.add_argument(
        "--revision", default="", help="branch, tag or commit of a hub repository, or the version of an object store"
    )
    parser.add_argument("--include", action="append", default=[], metavar="PATTERN", help="weight files to take")
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="files to leave out")
    parser.add_argument(
        "--parallel",
        type=_positive,
        default=0,
        metavar="N",
        help="files of a hub (default: 4), or parts of files of an object store (default: 8), fetched at the same time",
    )
    parser.add_argument("--tries", type=_positive, default=5, help="tries in a row without progress (default: 5)")
    parser.add_argument(
        "--cache-user",
        default="",
        metavar="NAME",
        help="DIR is ROOT/models/KEY in a cache that pods share: one fetches, others wait, and NAME is noted as a user",
    )
    parser.add_argument(
        "--deadline", type=_positive, default=0, metavar="SECONDS", help="give up then (default: never)"
    )


def _add_collect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder of the cache")
    parser.add_argument("user", metavar="NAME", help="service that uses the cache no more")


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="FOLDER_OR_URI", help="a local folder, hf://ORG/NAME, or s3://, gs:// or az://BUCKET/FOLDER"
    )
    parser.add_argument("--revision", default="", help="branch, tag or commit of a hub repository")
    parser.add_argument("--include", action="append", default=[], metavar="PATTERN", help="weight files to look at")
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="files to leave out")
    parser.add_argument("--tries", type=_positive, default=5, help="tries in a row without progress (default: 5)")


def _positive(text: str) -> int:
    number = int(text) if text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above zero")
    return number


def _serve(options: argparse.Namespace) -> LastWord:
    from modelservice_runtime.config import load_settings  # noqa: PLC0415 - pydantic takes a third of a second

    flags = _flags(options)
    settings = load_settings(flags, file=options.settings)
    configure_logging(settings.observability.log_level, settings.observability.log_format)
    if options.print_config:
        import yaml  # noqa: PLC0415

        sys.stdout.write(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))
        return LastWord.of_success("serve", "the settings are valid")
    if not settings.model.path:
        raise BadSettings(
            "model.path: no model is named", hint="`modelservice-runtime serve FOLDER`, or set model.path"
        )
    from modelservice_runtime.server.run import serve  # noqa: PLC0415

    code = serve(settings, _show_where_to_click if options.model else lambda _: None)
    if code != ExitCode.DONE:
        raise EngineFault(f"the server ended with code {code}")
    return LastWord.of_success("serve", "the server was stopped and its requests were finished")


def _show_where_to_click(address: str) -> None:
    """Tell a person at a terminal; a pod names its model in the settings, and its output is for machines."""
    sys.stdout.write(f"\n  Playground  {address}/playground\n  API docs    {address}/docs\n\n")
    sys.stdout.flush()


def _flags(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Collect the settings that were given on the command line, by section."""
    flags: dict[str, dict[str, Any]] = {}
    for name, value in vars(options).items():
        section, dot, key = name.partition(".")
        if dot and value is not None:
            flags.setdefault(section, {})[key] = value
    if options.model:
        model = flags.setdefault("model", {})
        if "path" in model:
            raise BadSettings("the model is named twice, as argument and by --model-path", hint="keep one of them")
        model.update(_named_model(options.model, model.get("revision", "")))
    return flags


def _named_model(model: str, revision: str) -> dict[str, str]:
    """Turn the argument of `serve` into settings; an address is fetched into the user's cache first."""
    from modelservice_runtime.sources.address import has_scheme  # noqa: PLC0415

    if not has_scheme(model):
        return {"path": model}
    from modelservice_runtime.sources.fetch import FetchRequest, cache_folder, fetch_model  # noqa: PLC0415

    folder = cache_folder(model, revision)
    fetch_model(FetchRequest(model, folder, revision=revision))
    return {"path": str(folder), "uri": model}


def _fetch(options: argparse.Namespace) -> LastWord:
    from modelservice_runtime.sources.fetch import FetchRequest, fetch_model  # noqa: PLC0415
    from modelservice_runtime.sources.retry import Retry  # noqa: PLC0415

    _end_on_sigterm()
    if options.deadline:
        _end_in_time(options.deadline)
    request = FetchRequest(
        options.uri,
        options.folder,
        revision=options.revision,
        include=options.include,
        exclude=options.exclude,
        retry=Retry(attempts=options.tries),
        parallel=options.parallel,
    )
    if options.cache_user:
        from modelservice_runtime.sources.cache import fetch_cached  # noqa: PLC0415

        result = fetch_cached(request, options.cache_user).to_result()
    else:
        result = fetch_model(request).to_result()
    return LastWord.of_success("fetch", f"fetched {options.uri} into {options.folder}", result)


def _collect(options: argparse.Namespace) -> LastWord:
    from modelservice_runtime.sources.cache import collect  # noqa: PLC0415

    _end_on_sigterm()
    folders, size = collect(options.root, options.user)
    result = {"removedFolders": folders, "removedBytes": size}
    return LastWord.of_success("collect", f"removed {folders} model folders that only {options.user} used", result)


def _inspect(options: argparse.Namespace) -> LastWord:
    from modelservice_runtime.sources.retry import Retry  # noqa: PLC0415
    from modelservice_runtime.sources.survey import inspect_model  # noqa: PLC0415

    _end_on_sigterm()
    retry = Retry(attempts=options.tries)
    result = inspect_model(options.model, options.revision, retry, options.include, options.exclude).to_result()
    sys.stdout.write(json.dumps(result) + "\n")
    return LastWord.of_success("inspect", f"inspected {options.model}", result)


def _end_on_sigterm() -> None:
    """End at once on SIGTERM: as process 1 of a container there is no default action, and a fetch can be resumed."""
    signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))


def _end_in_time(seconds: int) -> None:
    """End with a word of its own after so many seconds; the next try goes on where this one was."""

    def end(number: int, frame: object) -> None:
        hint = "raise spec.rollout.progressDeadlineSeconds; what has been fetched is kept, and the next try goes on"
        os._exit(_finish(LastWord.of_fault("fetch", SourceUnavailable(f"not fetched within {seconds} s", hint=hint))))

    signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)


COMMANDS: dict[str, Command] = {
    "serve": _serve,
    "fetch": _fetch,
    "collect": _collect,
    "inspect": _inspect,
    "optimize": optimize,
}

if __name__ == "__main__":
    sys.exit(main())
