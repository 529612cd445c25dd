"""Explanations of image classifiers: what each part of a picture added to a label.

The point of the attribution is what the model reads: the scaled, normalised pixels. The baseline is that picture
without what makes it one: black, white, the mean colour of the training pictures, or blurred beyond recognition.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image

from modelservice_runtime.engine.piecewise_scheduler import Work
from modelservice_runtime.models.attribution import (
    Attribution,
    attribute_gradient,
    attribute_integrated,
    attribute_occlusion,
    log_odds,
    roll_out,
    shows_attention,
    visible_attention,
)
from modelservice_runtime.models.vision import VisionModel, cost_of
from modelservice_runtime.tasks.explaining import (
    ExplainOptions,
    Explanation,
    HeatMap,
    choose_baseline,
    choose_method,
    choose_target,
)
from modelservice_runtime.tasks.inputs import Item

CELLS = 14
LARGEST_SIDE = 512
ROWS = 4
BASELINES = ("black", "mean", "blur", "white")
WITH_PATCHES = ("vit", "deit", "dinov2", "beit")
FOR, AGAINST = (240, 140, 0), (28, 126, 214)


@dataclass(frozen=True, slots=True)
class ImageQuestion:
    """A picture as the model reads it; `window` is the part of it that the model sees, in shares of its sides."""

    features: Any
    size: tuple[int, int]
    window: tuple[float, float, float, float]
    target: int | None
    method: str
    baseline: str
    steps: int


class ImageExplainer:
    """Explains the labels of an image classifier; `labels` are the names of the classes in their order."""

    def __init__(self, vision: VisionModel, labels: Sequence[str], *, independent: bool) -> None:
        self._vision = vision
        self._names = labels
        self._labels: Mapping[str, int] = {label: index for index, label in enumerate(labels)}
        self._independent = independent or len(labels) == 1
        self._methods: tuple[str, ...] = ("integrated_gradients", "gradient", "occlusion")
        if vision.model.config.model_type in WITH_PATCHES and shows_attention(vision.model):
            self._methods += ("attention",)

    def prepare(self, image: Image.Image, options: ExplainOptions) -> Item:
        """Scale and normalise. Raises InvalidInput."""
        features = self._vision.prepare(image)
        question = ImageQuestion(
            features=features,
            size=image.size,
            window=seen_window(self._vision.processor, image.size),
            target=choose_target(options, self._labels),
            method=choose_method(options, self._methods),
            baseline=choose_baseline(options, BASELINES),
            steps=options.steps,
        )
        return Item(question, cost_of(features))

    def explain(self, question: ImageQuestion) -> Work:
        """Compute the explanation of a picture."""
        inputs = self._vision.to_tensors([question.features])
        point = inputs.pop("pixel_values")
        baseline = self._baseline(question.baseline, point)
        with torch.no_grad():
            logits = self._logits(point, inputs)
        index = int(logits[0].argmax()) if question.target is None else question.target
        score = partial(self._score, others=inputs, index=index)
        attribution = yield from self._attribute(question, score, point, baseline)
        with torch.no_grad():
            sure, unsure = score(point).sigmoid().item(), score(baseline).sigmoid().item()
        values = attribution.values.float()
        return Explanation(
            label=self._names[index],
            score=sure,
            method=question.method,
            baseline=question.baseline,
            baseline_score=unsure,
            delta=attribution.delta,
            image=draw_heat((values.sum(dim=0) if values.dim() > 2 else values).cpu().numpy(), question),
        )

    def _logits(self, pixels: Any, others: Mapping[str, Any]) -> Any:
        spread = {name: value.expand(pixels.shape[0], *value.shape[1:]) for name, value in others.items()}
        return self._vision.model(pixel_values=pixels, **spread).logits.float()

    def _score(self, pixels: Any, *, others: Mapping[str, Any], index: int) -> Any:
        logits = self._logits(pixels, others)
        return logits[:, index] if self._independent else log_odds(logits, index)

    def _baseline(self, name: str, point: Any) -> Any:
        """Return the picture [1, channels, height, width] that says nothing."""
        if name == "blur":
            side = max(1, min(point.shape[-2:]) // 2) * 2 - 1
            pad = side // 2
            wide = torch.nn.functional.pad(point, (pad, pad, pad, pad), mode="replicate")
            return torch.nn.functional.avg_pool2d(wide, side, stride=1)
        if name == "mean":
            return torch.zeros_like(point)
        processor = self._vision.processor
        value = torch.full((point.shape[1],), float(name == "white"), device=point.device, dtype=point.dtype)
        if getattr(processor, "do_normalize", False):
            mean, spread = (torch.as_tensor(each, dtype=point.dtype, device=point.device) for each in _norm(processor))
            value = (value - mean) / spread
        return value[None, :, None, None].expand_as(point)

    def _attribute(self, question: ImageQuestion, score: Any, point: Any, baseline: Any) -> Any:
        match question.method:
            case "gradient":
                return (yield from attribute_gradient(score, point, baseline))
            case "occlusion":
                return (yield from attribute_occlusion(score, point, baseline, regions(point), ROWS))
            case "attention":
                return self._roll_out(point)
            case _:
                return (yield from attribute_integrated(score, point, baseline, question.steps))

    def _roll_out(self, point: Any) -> Attribution:
        """Follow the attention from the patches to the token that is read out, the first."""
        with torch.no_grad(), visible_attention(self._vision.model):
            output = self._vision.model(pixel_values=point, output_attentions=True)
        flow = roll_out(output.attentions, 0)
        side = int((flow.shape[0] - 1) ** 0.5)
        return Attribution(flow[-side * side :].reshape(side, side))


def regions(point: Any) -> list[Any]:
    """Return one mask [1, 1, height, width] for each cell of a grid over the picture."""
    height, width = point.shape[-2:]
    rows = torch.arange(height, device=point.device) * min(CELLS, height) // height
    columns = torch.arange(width, device=point.device) * min(CELLS, width) // width
    return [
        ((rows == row)[:, None] & (columns == column)[None, :])[None, None]
        for row in range(min(CELLS, height))
        for column in range(min(CELLS, width))
    ]


def draw_heat(values: Any, question: ImageQuestion) -> HeatMap:
    """Return attributions [height, width] as a grid, and as a picture over the whole original.

    The picture is orange where a part spoke for the label, blue where against it, and clear where it did not matter or
    the model did not look.
    """
    largest = float(np.abs(values).max()) or 1.0
    strength = (np.abs(values) / largest) ** 0.7
    colours = np.where((values >= 0)[..., None], np.asarray(FOR, np.uint8), np.asarray(AGAINST, np.uint8))
    seen = Image.fromarray(np.dstack([colours, (220 * strength).astype(np.uint8)]), "RGBA")
    scale = min(1.0, LARGEST_SIDE / max(question.size))
    width, height = (max(1, round(side * scale)) for side in question.size)
    left, top, right, bottom = question.window
    box = (round(left * width), round(top * height), round(right * width), round(bottom * height))
    whole = Image.new("RGBA", (width, height))
    whole.paste(seen.resize((max(1, box[2] - box[0]), max(1, box[3] - box[1])), Image.Resampling.BILINEAR), box[:2])
    buffer = BytesIO()
    whole.save(buffer, "PNG")
    return HeatMap(_grid(values), buffer.getvalue(), width, height)


def _grid(values: Any) -> list[list[float]]:
    """Return the sums over the cells of a grid, so that they add up to what all pixels do."""
    rows, columns = (np.array_split(np.arange(side), min(CELLS, side)) for side in values.shape)
    return [[float(values[np.ix_(row, column)].sum()) for column in columns] for row in rows]


def seen_window(processor: Any, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the part of a picture that the model sees: all of it, or the middle where the processor crops."""
    shortest = dict(getattr(processor, "size", None) or {}).get("shortest_edge")
    crop = dict(getattr(processor, "crop_size", None) or {})
    if not (getattr(processor, "do_center_crop", False) and shortest and crop):
        return 0.0, 0.0, 1.0, 1.0
    width, height = size
    scale = shortest / min(width, height)
    wide, high = min(1.0, crop["width"] / (width * scale)), min(1.0, crop["height"] / (height * scale))
    return (1 - wide) / 2, (1 - high) / 2, (1 + wide) / 2, (1 + high) / 2


def _norm(processor: Any) -> tuple[Any, Any]:
    return processor.image_mean, processor.image_std
