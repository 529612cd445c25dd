"""Writes tensors into safetensors files of bounded size, with the index that transformers reads.

Only one file's tensors are held in memory. How many files there are is known at the end, so they are named then.
"""

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from safetensors.torch import save_file

from modelservice_runtime.sources.inspect import INDEX, SINGLE

METADATA = {"format": "pt"}
READABLE = 0o644
"""safetensors writes files for their owner only; the server may run as another user."""


class ShardWriter:
    """Writes the weights of a model into `folder`; used as a context, which names the files when it ends well."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.bytes = 0
        self._folder = folder
        self._most = most_bytes
        self._held: dict[str, Any] = {}
        self._held_bytes = 0
        self._files: list[list[str]] = []

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._write()
            self._name_files()

    def add(self, name: str, tensor: Any) -> None:
        """Take a tensor; a tensor larger than the bound gets a file of its own."""
        size = tensor.numel() * tensor.element_size()
        if self._held and self._held_bytes + size > self._most:
            self._write()
        self._held[name] = tensor.contiguous()
        self._held_bytes += size
        self.bytes += size

    def _write(self) -> None:
        if not self._held:
            return
        path = self._folder / _temporary(len(self._files))
        save_file(self._held, path, metadata=METADATA)
        path.chmod(READABLE)
        self._files.append(list(self._held))
        self._held, self._held_bytes = {}, 0

    def _name_files(self) -> None:
        count = len(self._files)
        if count == 1:
            (self._folder / _temporary(0)).rename(self._folder / SINGLE)
            return
        places: dict[str, str] = {}
        for index, names in enumerate(self._files):
            final = f"model-{index + 1:05d}-of-{count:05d}.safetensors"
            (self._folder / _temporary(index)).rename(self._folder / final)
            places.update(dict.fromkeys(names, final))
        index_file = {"metadata": {"total_size": self.bytes}, "weight_map": dict(sorted(places.items()))}
        (self._folder / INDEX).write_text(json.dumps(index_file, indent=2), encoding="utf-8")


def _temporary(index: int) -> str:
    return f"part-{index}.tmp"
