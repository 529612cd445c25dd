"""The pictures that demo-image learns from: scikit-learn's handwritten digits, drawn larger.

The digits are 8 by 8 pixels with 17 levels of grey (UCI, Alpaydin and Kaynak 1998). They are drawn at 64 by 64 with a
bicubic filter and a contrast curve that gives strokes an edge. The last images of the data come from other writers and
are not trained on.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate

SMALL = 8
LARGE = 64
TRAINED = 1437
CONTRAST = 5.0


def load_pictures() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the digits as (1797, 8, 8) with ink 1 on paper 0, and what they show."""
    data = load_digits()
    return (data.images / 16).astype(np.float32), data.target.astype(np.int64)


def draw_large(digits: Tensor) -> Tensor:
    """Draw digits (n, 8, 8) as pictures (n, 1, 64, 64) of values 0 to 1."""
    large = interpolate(digits[:, None], size=(LARGE, LARGE), mode="bicubic", align_corners=False).clamp(0, 1)
    curve = torch.sigmoid(CONTRAST * (large - 0.5))
    low, high = torch.sigmoid(torch.tensor([-CONTRAST / 2, CONTRAST / 2]))
    return (curve - low) / (high - low)


def vary(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Turn, scale, slant and move pictures a little, each in its own way."""

    def spread(size: float) -> Tensor:
        return size * (2 * torch.rand(len(pictures), generator=generator) - 1)

    angle, scale, slant = spread(0.12), 1 + spread(0.06), spread(0.12)
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    rows = (cosine, -sine + slant, spread(0.06), sine, cosine, spread(0.06))
    matrix = torch.stack(rows, dim=1).reshape(-1, 2, 3)
    grid = affine_grid(matrix, list(pictures.shape), align_corners=False)
    return grid_sample(pictures, grid, align_corners=False)


def shrink(pictures: Tensor) -> Tensor:
    """Return pictures (n, 1, 64, 64) at (n, 1, 8, 8), each value the mean of a square."""
    return avg_pool2d(pictures, LARGE // SMALL)
