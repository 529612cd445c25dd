"""Image segmentation, semantic, instance or panoptic: which segment each pixel belongs to.

The model's own image processor turns its output into segments at the size of the image. It does so for every class or
query at once, so a large photo would take gigabytes; past a bound the segments are made smaller, and the masks are
enlarged again when they are written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import (
    AutoModelForImageSegmentation,
    AutoModelForInstanceSegmentation,
    AutoModelForSemanticSegmentation,
    AutoModelForUniversalSegmentation,
)

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.device import choose_placement
from modelservice_runtime.models.loader import count_parameters, explained, load_image_processor, load_model
from modelservice_runtime.models.vision import VisionModel, cost_of, row_of, shape_of
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.encoding import make_scheduler
from modelservice_runtime.tasks.imaging import ImageReader, blank_image, run_alike, within_budget
from modelservice_runtime.tasks.inputs import Images, InvalidInput, Item, MaskOptions, Segment, Segmentation

SUBTASKS = ("panoptic", "instance", "semantic")
OPTIONS = MaskOptions(None, 0.9, 0.5, 0.5)
MOST_VALUES = 256_000_000
AUTO_CLASSES = (
    AutoModelForSemanticSegmentation,
    AutoModelForInstanceSegmentation,
    AutoModelForUniversalSegmentation,
    AutoModelForImageSegmentation,
)


@dataclass(frozen=True, slots=True)
class Query:
    """One image as the model reads it, its own width and height, and how its masks are made."""

    features: Any
    size: tuple[int, int]
    options: MaskOptions


class ImageSegmentationTask:
    """Implements `LoadedTask`."""

    def __init__(self, context: TaskContext, vision: VisionModel, subtasks: Sequence[str], facts: ModelFacts) -> None:
        self.facts = facts
        self.scheduler = make_scheduler(context, self.run)
        self._reader = ImageReader(context.settings)
        self._vision = vision
        self._folder = context.folder
        self._subtasks = subtasks
        config = vision.model.config
        self._labels = config.id2label
        self._layers = max(len(config.id2label), int(getattr(config, "num_queries", 0) or 0))

    def warm_up(self) -> None:
        """Look at a blank picture. Raises UnusableModel when the model cannot."""
        with explained(self._folder):
            image = blank_image()
            self.run([Query(self._vision.prepare(image), image.size, OPTIONS)])

    def prepare(self, request: Images) -> Sequence[Item]:
        """Decode, scale and normalise. Raises InvalidInput for a subtask that the model does not have."""
        options = request.options if isinstance(request.options, MaskOptions) else OPTIONS
        if options.subtask is not None and options.subtask not in self._subtasks:
            raise InvalidInput("parameters.subtask", f"this model's subtasks are {', '.join(self._subtasks)}")
        queries = (Query(self._vision.prepare(image), image.size, options) for image in self._reader.read(request))
        return within_budget((Item(query, cost_of(query.features)) for query in queries), request)

    def run(self, batch: Sequence[Query]) -> list[Segmentation]:
        """Return the segments of each image."""
        return run_alike(batch, lambda query: shape_of(query.features), self._run)

    def _run(self, batch: Sequence[Query]) -> list[Segmentation]:
        output = self._vision.forward([query.features for query in batch])
        return [self._segment(row_of(output, index), query) for index, query in enumerate(batch)]

    def _segment(self, output: Any, query: Query) -> Segmentation:
        target = bounded_size(query.size, self._layers)
        subtask = query.options.subtask or self._subtasks[0]
        if subtask == "semantic":
            (ids,) = self._vision.processor.post_process_semantic_segmentation(output, target_sizes=[target])
            ids = ids.cpu().numpy()
            segments = [Segment(int(id_), str(self._labels[int(id_)]), None) for id_ in np.unique(ids)]
            return Segmentation(ids, query.size, segments)
        (found,) = getattr(self._vision.processor, f"post_process_{subtask}_segmentation")(
            output,
            threshold=query.options.threshold,
            mask_threshold=query.options.mask_threshold,
            overlap_mask_area_threshold=query.options.overlap_mask_area_threshold,
            target_sizes=[target],
        )
        segments = [
            Segment(each["id"], str(self._labels[each["label_id"]]), float(each["score"]))
            for each in found["segments_info"]
        ]
        return Segmentation(found["segmentation"].cpu().numpy(), query.size, segments)

    def finish(self, request: Images, items: Sequence[Item], results: Sequence[Segmentation]) -> list[Segmentation]:
        """Return the segments of each image."""
        return list(results)


def bounded_size(size: tuple[int, int], layers: int) -> tuple[int, int]:
    """Return height and width of the segments for an image of `size` (width, height), within MOST_VALUES."""
    width, height = size
    scale = min(1.0, (MOST_VALUES / (width * height * layers)) ** 0.5)
    return max(1, int(height * scale)), max(1, int(width * scale))


def load(context: TaskContext) -> ImageSegmentationTask:
    """Load image processor and model. Raises RuntimeFault."""
    settings = context.settings
    placement = choose_placement(settings, context.folder.checkpoint_dtype, context.resources)
    processor = load_image_processor(context.folder, settings)
    subtasks = [subtask for subtask in SUBTASKS if hasattr(processor, f"post_process_{subtask}_segmentation")]
    if not subtasks:
        raise UnusableModel(
            f"the image processor of {context.folder.path} ({type(processor).__name__}) cannot read masks",
            hint="use the preprocessor_config.json that belongs to the model",
        )
    model: Any = load_model(_auto_class(context.folder.config), context.folder, settings, placement)
    facts = ModelFacts(count_parameters(model), placement.device, placement.dtype, 0)
    return ImageSegmentationTask(context, VisionModel(model, processor), subtasks, facts)


def _auto_class(config: Any) -> Any:
    """Return the family whose class for this kind of model is the one that config.json names, or the first."""
    architecture = (config.get("architectures") or [""])[0]
    for auto_class in AUTO_CLASSES:
        names = auto_class._model_mapping._model_mapping.values()
        if architecture in names:
            return auto_class
    return AUTO_CLASSES[0]
