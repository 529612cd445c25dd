"""From a training to what is committed: weights, the measured figure, and the card that states it."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.models.build import build_model, cache_folder
from tests.models.committed import Committed

Train = Callable[[Path, int, float], tuple[Any, float]]


def train_and_publish(
    name: str,
    model: Committed,
    train: Train,
    measure: Callable[[Path], float],
    card: str,
    *,
    seed: int,
    minutes: float,
    write: bool,
) -> float:
    """Train, measure the weights as they are committed, and with `write` replace the committed ones and the card.

    Returns the measured figure. Raises Unfinished when `minutes` did not suffice; called again, training goes on.
    """
    checkpoint = cache_folder().parent / "training" / f"{name}-{seed}.pt"
    trained, seconds = train(checkpoint, seed, minutes * 60)
    with tempfile.TemporaryDirectory() as scratch:
        weights, folder = Path(scratch) / "weights.safetensors", Path(scratch) / "model"
        folder.mkdir()
        model.save_weights(trained.state_dict(), weights)
        model.write_model(weights, folder)
        figure = measure(folder)
        if write:
            model.weights.write_bytes(weights.read_bytes())
    parameters = sum(parameter.numel() for parameter in trained.parameters())
    if write:
        text = card.format(
            seed=seed, seconds=f"{seconds:.0f}", parameters=f"{parameters:,}", figure=f"{100 * figure:.1f}"
        )
        model.card.write_text(text, encoding="utf-8")
        build_model(name)
    Console().print(f"{name}: {100 * figure:.1f} %, {parameters} parameters, {seconds:.0f} s")
    return figure
