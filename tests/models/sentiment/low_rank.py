"""Low-rank updates of linear layers: how demo-sentiment is trained, stored and merged.

A frozen weight W is used as W + B·A with A of few rows (Hu et al. 2021, "LoRA"). Only A and B are trained and
committed, a few per cent of the weights; the build adds the product to W once, so the served model is a plain BERT.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

RANK = 8
DOWN, UP = ".lora_down", ".lora_up"

Tensors = Mapping[str, NDArray[np.float32]]


def merge_updates(base: Tensors, updates: Tensors) -> dict[str, NDArray[np.float32]]:
    """Return the base weights with every pair of updates added; other tensors of `updates` replace or join the base.

    Raises ValueError when an update names a weight that the base lacks, or does not fit it.
    """
    merged = dict(base)
    for name, down in updates.items():
        if name.endswith(UP):
            continue
        if not name.endswith(DOWN):
            merged[name] = down
            continue
        weight = name.removesuffix(DOWN)
        up = updates[weight + UP]
        if weight not in base or base[weight].shape != (up.shape[0], down.shape[1]):
            raise ValueError(f"the update of {weight} does not fit the base model")
        merged[weight] = (base[weight] + up @ down).astype(np.float32)
    return merged


def mean_of(runs: Sequence[Tensors]) -> dict[str, NDArray[np.float32]]:
    """Return updates whose merged weights are the mean of the merged weights of several runs.

    The mean of weights that were trained from the same start is often better than each (Wortsman et al. 2022, "Model
    soups"). The products B·A are averaged exactly: the ranks add up.
    """
    mean: dict[str, NDArray[np.float32]] = {}
    for name in runs[0]:
        tensors = [run[name] for run in runs]
        if name.endswith(DOWN):
            mean[name] = np.concatenate(tensors, axis=0)
        elif name.endswith(UP):
            mean[name] = np.concatenate(tensors, axis=1) / len(runs)
        else:
            mean[name] = np.mean(tensors, axis=0)
    return mean
