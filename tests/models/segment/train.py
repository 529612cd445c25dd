"""Trains demo-segment: a SegFormer that names the shape of each pixel."""

from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoConfig, SegformerForSemanticSegmentation

from tests.models.fitting import Plan, fit
from tests.models.scenes.batches import Pool, choose_rows, draw_pool, to_pixels

HERE = Path(__file__).parent
SCENES = 3000
BATCH = 16
PLAN = Plan(steps=1500, rate=2e-3)


def train(checkpoint: Path, seed: int, seconds: float) -> tuple[SegformerForSemanticSegmentation, float]:
    """Train, going on from the checkpoint. Returns the model and the seconds spent; raises Unfinished."""
    torch.manual_seed(seed)
    model = SegformerForSemanticSegmentation(AutoConfig.from_pretrained(HERE))
    pool = draw_pool(SCENES)
    spent = fit(model, lambda step: _loss(model, pool, step), PLAN, checkpoint, seconds)
    return model.eval(), spent


def _loss(model: SegformerForSemanticSegmentation, pool: Pool, step: int) -> Tensor:
    rows, mirrored = choose_rows(pool, step, BATCH)
    masks = torch.from_numpy(pool.masks[rows]).long()
    pixels = to_pixels(pool.images[rows], mirrored=mirrored)
    return model(pixels, labels=masks.flip(-1) if mirrored else masks).loss
