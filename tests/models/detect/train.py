"""Trains demo-detect: a YOLOS whose detection tokens each look after one cell of the picture.

A detector of this family is usually trained with a matching that is found anew in every step, which takes long to
settle. In these scenes no two centres share a cell of a 5 x 5 grid, so the token of a cell is simply told what lies in
its cell. At inference nothing differs from any YOLOS.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, l1_loss
from torchvision.ops import box_convert, generalized_box_iou_loss
from transformers import AutoConfig, YolosForObjectDetection

from tests.models.fitting import Plan, fit
from tests.models.scenes import SHAPES, SIZE, SceneObject
from tests.models.scenes.batches import Pool, choose_rows, draw_pool, to_pixels

HERE = Path(__file__).parent
GRID = 5
NOTHING = len(SHAPES)
NOTHING_WEIGHT = 0.2
SCENES = 6000
BATCH = 32
PLAN = Plan(steps=6000, rate=1e-3, warm_up=200)


def train(checkpoint: Path, seed: int, seconds: float) -> tuple[YolosForObjectDetection, float]:
    """Train, going on from the checkpoint. Returns the model and the seconds spent; raises Unfinished."""
    torch.manual_seed(seed)
    model = YolosForObjectDetection(AutoConfig.from_pretrained(HERE))
    _spread_positions(model)
    pool = draw_pool(SCENES)
    spent = fit(model, lambda step: _loss(model, pool, step), PLAN, checkpoint, seconds)
    return model.eval(), spent


def _loss(model: YolosForObjectDetection, pool: Pool, step: int) -> Tensor:
    rows, mirrored = choose_rows(pool, step, BATCH)
    classes, boxes = _targets([pool.objects[row] for row in rows], mirrored=mirrored)
    output = model(to_pixels(pool.images[rows], mirrored=mirrored))
    weights = torch.ones(NOTHING + 1)
    weights[NOTHING] = NOTHING_WEIGHT
    named = cross_entropy(output.logits.flatten(0, 1), classes.flatten(), weights)
    here = classes != NOTHING
    found, true = output.pred_boxes[here], boxes[here]
    corners = [box_convert(each, "cxcywh", "xyxy") for each in (found, true)]
    return named + 5 * l1_loss(found, true) + 2 * generalized_box_iou_loss(*corners, reduction="mean")


def _targets(scenes: Sequence[Sequence[SceneObject]], *, mirrored: bool) -> tuple[Tensor, Tensor]:
    """Return for each cell of each scene the class [rows, cells] and the box [rows, cells, 4] as cx, cy, w, h."""
    classes = torch.full((len(scenes), GRID * GRID), NOTHING)
    boxes = torch.zeros(len(scenes), GRID * GRID, 4)
    for row, objects in enumerate(scenes):
        for shape, _, (left, top, right, bottom) in objects:
            x, y = (left + right) / 2 / SIZE, (top + bottom) / 2 / SIZE
            x = 1 - x if mirrored else x
            cell = int(y * GRID) * GRID + int(x * GRID)
            classes[row, cell] = SHAPES.index(shape)
            boxes[row, cell] = torch.tensor([x, y, (right - left) / SIZE, (bottom - top) / SIZE])
    return classes, boxes


def _spread_positions(model: YolosForObjectDetection) -> None:
    """Give patches and detection tokens the same waves over the plane: a cell knows its patches from the start."""
    embeddings, config = model.vit.embeddings, model.config
    side = config.image_size[0] // config.patch_size
    width = config.hidden_size
    with torch.no_grad():
        embeddings.position_embeddings[:, 1 : 1 + side * side] = 0.3 * _waves(side, width)
        embeddings.position_embeddings[:, 1 + side * side :] = 0.3 * _waves(GRID, width)
        embeddings.detection_tokens.normal_(std=0.02)


def _waves(side: int, width: int) -> Tensor:
    """Return sines and cosines of the centres of side x side cells [side * side, width]."""
    centres = (torch.arange(side) + 0.5) / side
    y, x = (axis.flatten() for axis in torch.meshgrid(centres, centres, indexing="ij"))
    frequencies = torch.pi * 2 ** torch.linspace(-1, 3, width // 4)
    phases = [axis[:, None] * frequencies for axis in (x, y)]
    return torch.cat([wave(phase) for phase in phases for wave in (torch.sin, torch.cos)], dim=1)
