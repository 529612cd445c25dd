"""Changes to a model that look at one tensor at a time, each with what it changes in config.json.

An edit may drop a tensor, rename it, or make several of it. They are applied in the order of their list.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import torch

from modelservice_runtime.errors import BadSettings

Named = tuple[str, Any]
DTYPE_KEYS = ("dtype", "torch_dtype")


class Edit(Protocol):
    """One change; `summary` is told in the report and in the model's card."""

    summary: str

    def apply(self, name: str, tensor: Any) -> Iterable[Named]:
        """Return what becomes of a tensor."""

    def configure(self, config: dict[str, Any]) -> None:
        """Write the change into config.json."""


class Cast:
    """Turns all floating-point weights into one dtype."""

    def __init__(self, dtype: str) -> None:
        self.summary = f"weights cast to {dtype}"
        self._name = dtype
        self._dtype = getattr(torch, dtype)

    def apply(self, name: str, tensor: Any) -> Iterable[Named]:
        """Cast. Raises BadSettings when a value is too large for the dtype."""
        if not tensor.is_floating_point() or tensor.dtype == self._dtype:
            return [(name, tensor)]
        cast = tensor.to(self._dtype)
        if not torch.equal(cast.isfinite(), tensor.isfinite()):
            largest = float(tensor[tensor.isfinite()].abs().max())
            raise BadSettings(
                f"--dtype {self._name}: {name} holds values up to {largest:.3g}, which {self._name} cannot hold",
                hint="use --dtype bfloat16, which has the range of float32",
            )
        return [(name, cast)]

    def configure(self, config: dict[str, Any]) -> None:
        """State the dtype, in the configs of parts too."""
        stated = next((key for key in DTYPE_KEYS if key in config), DTYPE_KEYS[0])
        config[stated] = self._name
        for part in (value for value in config.values() if isinstance(value, dict)):
            for key in DTYPE_KEYS:
                if part.get(key):
                    part[key] = self._name


def apply_edits(edits: Sequence[Edit], tensors: Iterable[Named]) -> Iterator[Named]:
    """Send each tensor through all edits."""
    for each in tensors:
        yield from _apply(edits, [each])


def _apply(edits: Sequence[Edit], tensors: Iterable[Named]) -> Iterable[Named]:
    for edit in edits:
        tensors = [changed for name, tensor in tensors for changed in edit.apply(name, tensor)]
    return tensors
