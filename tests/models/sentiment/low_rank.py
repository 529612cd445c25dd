"""Low-rank updates of linear layers: how demo-sentiment is trained, stored and merged.

A frozen weight W is used as W + B·A with A of `RANK` rows (Hu et al. 2021, "LoRA"). Only A and B are trained and
committed, about 2 % of the weights; the build adds the product to W once, so the served model is a plain BERT.
"""

from collections.abc import Mapping

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
