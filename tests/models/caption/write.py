"""Builds demo-scene from the committed weights."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.models.caption import dialogue, layout, scenes
from tests.models.caption.layout import write_layout
from tests.models.packages import Step

HERE = Path(__file__).parent
WEIGHTS = HERE / "weights.safetensors"
CARD = HERE / "MODEL_CARD.md"
SOURCES = (
    Path(__file__),
    Path(dialogue.__file__),
    Path(layout.__file__),
    Path(scenes.__file__),
    WEIGHTS,
    CARD,
)


def write(_package: Path, target: Path, step: Step) -> None:
    """Write the model into `target` in the hub's layout."""
    step("widening the weights")
    write_model(WEIGHTS, target)
    (target / "README.md").write_bytes(CARD.read_bytes())


def write_model(weights: Path, target: Path) -> None:
    """Write the layout and the weights of a file, in float32, into `target`."""
    write_layout(target)
    tensors = {name: tensor.astype(np.float32) for name, tensor in load_file(weights).items()}
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
