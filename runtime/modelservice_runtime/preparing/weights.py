"""Reads and writes the weights of a checkpoint, one tensor at a time."""

import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.preparing.shards import ShardWriter
from modelservice_runtime.sources.inspect import weight_files

log = logging.getLogger(__name__)

TELL_SECONDS = 5.0


def read_weights(folder: Path) -> Iterator[tuple[str, Any]]:
    """Give the tensors of a folder's safetensors files. Raises UnusableModel when a file is damaged."""
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - the file is no mapping
                    yield name, file.get_tensor(name)
        except SafetensorError as error:
            raise UnusableModel(f"{path} is damaged: {error}", hint="copy or download the file again") from None


def write_weights(tensors: Iterable[tuple[str, Any]], folder: Path, most_bytes: int, total: int) -> None:
    """Write tensors into files of at most `most_bytes`, and log how much of the `total` bytes has been written."""
    told = time.monotonic()
    with ShardWriter(folder, most_bytes) as writer:
        for name, tensor in tensors:
            writer.add(name, tensor)
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                log.info("writing weights", extra={"bytes": writer.bytes, "sourceBytes": total})
    log.info("weights written", extra={"bytes": writer.bytes})
