"""Models that are small enough to be committed whole: weights in float16 in the checkout, in float32 in the cache.

A model of this kind is a folder beside this file that holds `config.json`, `preprocessor_config.json`, the weights and
their card; nothing is downloaded when it is built.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.models.packages import Step, copy_tree

CONFIGS = ("config.json", "preprocessor_config.json")


@dataclass(frozen=True)
class Committed:
    """The folder of a committed model."""

    folder: Path

    @property
    def weights(self) -> Path:
        """The committed weights."""
        return self.folder / "weights.safetensors"

    @property
    def card(self) -> Path:
        """What is said about the model."""
        return self.folder / "MODEL_CARD.md"

    @property
    def sources(self) -> tuple[Path, ...]:
        """Everything that the built model is made from."""
        return (Path(__file__), *(self.folder / name for name in CONFIGS), self.weights, self.card)

    def write(self, _package: Path, target: Path, step: Step) -> None:
        """Write the model into `target` in the hub's layout."""
        step("copying the committed weights")
        self.write_model(self.weights, target)
        (target / "README.md").write_bytes(self.card.read_bytes())

    def write_model(self, weights: Path, target: Path) -> None:
        """Write the model with the weights of a file."""
        copy_tree(self.folder, target, CONFIGS)
        tensors = {name: _widen(tensor) for name, tensor in load_file(weights).items()}
        save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})

    def save_weights(self, tensors: Mapping[str, Any], weights: Path) -> None:
        """Write weights, as torch has them, as they are committed."""
        halves = {name: tensor.numpy() for name, tensor in tensors.items()}
        save_file({name: _narrow(values) for name, values in halves.items()}, weights)
        weights.chmod(0o644)


def _widen(values: Any) -> Any:
    return values.astype(np.float32) if values.dtype == np.float16 else values


def _narrow(values: Any) -> Any:
    return values.astype(np.float16, order="C") if values.dtype == np.float32 else values
