"""The command `modelservice-runtime optimize`: its flags, and what it prints."""

import argparse
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from modelservice_runtime.preparing.options import (
    DEFAULT_ROUNDS,
    DEFAULT_SHARD,
    DTYPES,
    KEEP,
    PrepareOptions,
    parse_layers,
    parse_size,
)
from modelservice_runtime.termination import LastWord

T = TypeVar("T")


def add_optimize(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("source", metavar="SRC", help="a folder, or an address that `fetch` understands")
    parser.add_argument("target", type=Path, metavar="DST", help="a folder that is not there yet, or empty")
    parser.add_argument("--revision", default="", help="branch, tag or commit of a hub repository")
    parser.add_argument("--dtype", choices=DTYPES, default=KEEP, help="type of the weights (default: keep)")
    _add_pruning(parser)
    parser.add_argument(
        "--max-shard-size",
        type=_checked(parse_size),
        default=parse_size(DEFAULT_SHARD),
        metavar="SIZE",
        help=f"largest weight file (default: {DEFAULT_SHARD})",
    )
    parser.add_argument(
        "--convert-pickle", action="store_true", help="read pytorch_model*.bin where there are no safetensors"
    )
    parser.add_argument(
        "--rounds",
        type=_checked(_number),
        default=DEFAULT_ROUNDS,
        metavar="N",
        help=f"rounds of the comparison, before against after; 0: none (default: {DEFAULT_ROUNDS})",
    )
    parser.add_argument(
        "--samples",
        type=Path,
        metavar="PATH",
        help="what to measure on: a file with a text a line, or a folder of pictures or recordings (default: built in)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON instead of a table")


def _add_pruning(parser: argparse.ArgumentParser) -> None:
    for flag, what in (
        ("--prune-heads", "drop the N least important attention heads of every layer"),
        ("--prune-layers", "drop the N layers that change least"),
    ):
        parser.add_argument(flag, type=_checked(_number), default=0, metavar="N", help=what)
    parser.add_argument(
        "--drop-layers", type=_checked(parse_layers), default=(), metavar="I,J", help="drop these layers, from 0 on"
    )


def optimize(options: argparse.Namespace) -> LastWord:
    """Prepare the model and print the report. Raises RuntimeFault."""
    from modelservice_runtime.preparing.run import prepare_model  # noqa: PLC0415 - loads torch

    signal.signal(signal.SIGTERM, _leave)
    report = prepare_model(
        PrepareOptions(
            source=options.source,
            target=options.target,
            revision=options.revision,
            dtype=options.dtype,
            prune_heads=options.prune_heads,
            prune_layers=options.prune_layers,
            drop_layers=options.drop_layers,
            shard_bytes=options.max_shard_size,
            convert_pickle=options.convert_pickle,
            rounds=options.rounds,
            samples=options.samples,
        )
    )
    sys.stdout.write(json.dumps(report.to_json(), indent=2) + "\n" if options.json else report.to_table())
    return LastWord.of_success(
        "optimize", f"optimized {options.source} into {options.target}: {report.summary}", report.to_result()
    )


def _leave(number: int, _: object) -> NoReturn:
    """End on SIGTERM by an exception, so that what is half written is removed on the way out."""
    raise SystemExit(128 + number)


def _number(text: str) -> int:
    if not text.isdigit():
        raise ValueError(f"{text!r} is no number from zero on")
    return int(text)


def _checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Let argparse show the message of a ValueError."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert
