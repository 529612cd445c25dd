"""Trains demo-digits: a small residual network on handwritten digits.

The digits are few and all of one style, so each step sees them moved, turned, scaled and, half of the time, with dark
ink on light paper instead of the reverse.
"""

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, interpolate
from transformers import AutoConfig, ResNetForImageClassification

from tests.models.digits.data import training_digits
from tests.models.fitting import Plan, fit

HERE = Path(__file__).parent
SIDE = 32
BATCH = 64
PLAN = Plan(steps=1200, rate=3e-3)


def train(checkpoint: Path, seed: int, seconds: float) -> tuple[ResNetForImageClassification, float]:
    """Train, going on from the checkpoint. Returns the model and the seconds spent; raises Unfinished."""
    torch.manual_seed(seed)
    model = ResNetForImageClassification(AutoConfig.from_pretrained(HERE))
    images, labels = training_digits()
    spent = fit(model, lambda step: _loss(model, images, labels, step), PLAN, checkpoint, seconds)
    return model.eval(), spent


def _loss(
    model: ResNetForImageClassification, images: NDArray[np.uint8], labels: NDArray[np.int64], step: int
) -> Tensor:
    choose = np.random.default_rng(step)
    rows = choose.integers(0, len(images), BATCH)
    pixels = _vary(torch.from_numpy(images[rows]).float() / 255, choose)
    return cross_entropy(model(pixels).logits, torch.from_numpy(labels[rows]), label_smoothing=0.05)


def _vary(images: Tensor, choose: np.random.Generator) -> Tensor:
    """Return images [rows, 8, 8] from 0 to 1 as the model reads them: [rows, 3, SIDE, SIDE] from -1 to 1."""
    large = interpolate(images[:, None], (SIDE, SIDE), mode="bilinear", antialias=True)
    grid = affine_grid(_turns(len(images), choose), [len(images), 1, SIDE, SIDE], align_corners=False)
    moved = grid_sample(large, grid, align_corners=False)
    inverted = torch.from_numpy(choose.integers(0, 2, (len(images), 1, 1, 1))).float()
    noise = torch.from_numpy(choose.normal(0, 0.04, tuple(moved.shape))).float()
    signs = 2 * ((moved + noise).clamp(0, 1) - inverted).abs() - 1
    return signs.expand(-1, 3, -1, -1)


def _turns(rows: int, choose: np.random.Generator) -> Tensor:
    """Return random turns by up to 12 degrees, scales by a fifth and moves by an eighth [rows, 2, 3]."""
    angle = choose.uniform(-math.pi / 15, math.pi / 15, rows)
    scale = choose.uniform(0.85, 1.25, rows)
    move = choose.uniform(-0.25, 0.25, (2, rows))
    cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
    rows_of = np.array([[cosine, -sine, move[0]], [sine, cosine, move[1]]])
    return torch.from_numpy(rows_of.transpose(2, 0, 1)).float()
