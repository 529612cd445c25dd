"""Running a vision model over images of one shape.

Preparing a picture (scale, crop, normalise) is done with Pillow and numpy, on any thread: torch's own operations would
start a second set of workers beside those of the torch thread. The few processors that exist for torch only are called
on the torch thread, right before the model.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from modelservice_runtime.models.accelerator import send
from modelservice_runtime.models.device import without_gradients

PATCH_PIXELS = 16 * 16

Features = Mapping[str, Any]


class VisionModel:
    """A transformers model with the image processor that it was trained with."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor
        self._in_numpy = getattr(processor, "backend", "pil") == "pil"

    def prepare(self, image: Image.Image) -> Features | Image.Image:
        """Return what the model reads as arrays [1, ...], or the image itself where only torch can; any thread."""
        return dict(self.processor(images=[image], return_tensors="np")) if self._in_numpy else image

    @without_gradients
    def forward(self, batch: Sequence[Features | Image.Image], **others: Any) -> Any:
        """Return the model's output for inputs of one shape; torch thread. `others` are further inputs of the model."""
        return self.model(**self.to_tensors(batch, **others))

    def to_tensors(self, batch: Sequence[Features | Image.Image], **others: Any) -> dict[str, Any]:
        """Return inputs of one shape as the model takes them, on its device; torch thread."""
        inputs = [self._process(each) for each in batch]
        tensors = {name: torch.cat([row[name] for row in inputs]) for name in inputs[0]} | others
        return {name: self._place(tensor) for name, tensor in tensors.items()}

    def _process(self, features: Features | Image.Image) -> dict[str, Any]:
        if isinstance(features, Image.Image):
            return dict(self.processor(images=[features], return_tensors="pt"))
        return {name: torch.from_numpy(np.asarray(value)) for name, value in features.items()}

    def _place(self, tensor: Any) -> Any:
        dtype = self.model.dtype if tensor.is_floating_point() else tensor.dtype
        return send(tensor, self.model.device, dtype)


def shape_of(features: Features | Image.Image) -> tuple[Any, ...]:
    """Return what must be equal for two inputs to share a batch."""
    if isinstance(features, Image.Image):
        return features.size
    return tuple(np.shape(value) for value in features.values())


def cost_of(features: Features | Image.Image) -> int:
    """Return the cost of an input: how many patches of 16 x 16 pixels the model sees."""
    if isinstance(features, Image.Image):
        pixels = features.width * features.height
    else:
        *_, height, width = np.shape(features["pixel_values"])
        pixels = height * width
    return max(1, pixels // PATCH_PIXELS)


def row_of(output: Any, index: int) -> Any:
    """Return the part of a model's output that belongs to one row of the batch."""
    parts = {
        name: value[index : index + 1]
        for name, value in output.items()
        if isinstance(value, torch.Tensor) and value.dim() > 0
    }
    return type(output)(**parts)
