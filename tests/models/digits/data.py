"""The handwritten digits that scikit-learn ships (UCI's optical recognition set, CC BY 4.0), 8 x 8 pixels.

The last fifth is held out. The images are in the order of their writers, so most held-out digits are by hands that
the training never saw.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

HELD_OUT = 360
INK = 16  # the largest grey level of the data


def training_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images [rows, 8, 8] from 0 (paper) to 255 (ink), and their digits [rows]."""
    images, labels = _digits()
    return images[:-HELD_OUT], labels[:-HELD_OUT]


def held_out_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the digits that are measured on."""
    images, labels = _digits()
    return images[-HELD_OUT:], labels[-HELD_OUT:]


@cache
def _digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    data = load_digits()
    return np.round(data.images * 255 / INK).astype(np.uint8), data.target.astype(np.int64)
