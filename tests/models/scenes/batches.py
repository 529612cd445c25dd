"""Batches of scenes for training: a pool that is drawn once, varied as it is used."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.models.scenes.draw import TRAINING, SceneObject, draw_scene


@dataclass(frozen=True)
class Pool:
    """Scenes with seeds from `TRAINING` on: images and masks stacked, objects one list a scene."""

    images: NDArray[np.uint8]
    objects: Sequence[Sequence[SceneObject]]
    masks: NDArray[np.uint8]


def draw_pool(count: int) -> Pool:
    """Draw `count` scenes for training."""
    scenes = [draw_scene(TRAINING + index) for index in range(count)]
    return Pool(np.stack([s[0] for s in scenes]), [s[1] for s in scenes], np.stack([s[2] for s in scenes]))


def choose_rows(pool: Pool, step: int, size: int) -> tuple[NDArray[np.int64], bool]:
    """Return the scenes of a step and whether they are mirrored; the same for the same step."""
    choose = np.random.default_rng(step)
    return choose.integers(0, len(pool.images), size), bool(choose.integers(0, 2))


def to_pixels(images: NDArray[np.uint8], *, mirrored: bool) -> Tensor:
    """Return images [rows, SIZE, SIZE, 3] as the models read them: [rows, 3, SIZE, SIZE] from -1 to 1."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixels.flip(-1) if mirrored else pixels
