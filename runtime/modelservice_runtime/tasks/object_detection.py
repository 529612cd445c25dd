"""Object detection: labels, scores and boxes, as the model's own image processor reads them off its output."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import AutoModelForObjectDetection

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.device import choose_placement
from modelservice_runtime.models.loader import count_parameters, explained, load_image_processor, load_model
from modelservice_runtime.models.vision import VisionModel, cost_of, shape_of
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.encoding import make_scheduler
from modelservice_runtime.tasks.imaging import ImageReader, blank_image, run_alike, within_budget
from modelservice_runtime.tasks.inputs import Detection, DetectionOptions, Images, Item

THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Query:
    """One image as the model reads it, its own height and width, and the least score."""

    features: Any
    size: tuple[int, int]
    threshold: float


class ObjectDetectionTask:
    """Implements `LoadedTask`."""

    def __init__(self, context: TaskContext, vision: VisionModel, facts: ModelFacts) -> None:
        self.facts = facts
        self.scheduler = make_scheduler(context, self.run)
        self._reader = ImageReader(context.settings)
        self._vision = vision
        self._folder = context.folder
        self._labels = vision.model.config.id2label

    def warm_up(self) -> None:
        """Look at a blank picture. Raises UnusableModel when the model cannot."""
        with explained(self._folder):
            image = blank_image()
            self.run([Query(self._vision.prepare(image), (image.height, image.width), THRESHOLD)])

    def prepare(self, request: Images) -> Sequence[Item]:
        """Decode, scale and normalise."""
        options = request.options
        threshold = options.threshold if isinstance(options, DetectionOptions) else THRESHOLD
        queries = (
            Query(self._vision.prepare(image), (image.height, image.width), threshold)
            for image in self._reader.read(request)
        )
        return within_budget((Item(query, cost_of(query.features)) for query in queries), request)

    def run(self, batch: Sequence[Query]) -> list[list[Detection]]:
        """Return the objects in each image."""
        return run_alike(batch, lambda query: shape_of(query.features), self._run)

    def _run(self, batch: Sequence[Query]) -> list[list[Detection]]:
        output = self._vision.forward([query.features for query in batch])
        least = min(query.threshold for query in batch)
        sizes = [query.size for query in batch]
        found = self._vision.processor.post_process_object_detection(output, least, sizes)
        return [self._read(objects, query.threshold) for objects, query in zip(found, batch, strict=True)]

    def _read(self, objects: Any, threshold: float) -> list[Detection]:
        columns = (objects["labels"].tolist(), objects["scores"].tolist(), objects["boxes"].int().tolist())
        return [
            Detection(str(self._labels[label]), score, tuple(box))
            for label, score, box in zip(*columns, strict=True)
            if score > threshold
        ]

    def finish(
        self, request: Images, items: Sequence[Item], results: Sequence[list[Detection]]
    ) -> list[list[Detection]]:
        """Return the objects of each image."""
        return list(results)


def load(context: TaskContext) -> ObjectDetectionTask:
    """Load image processor and model. Raises RuntimeFault."""
    settings = context.settings
    placement = choose_placement(settings, context.folder.checkpoint_dtype, context.resources)
    processor = load_image_processor(context.folder, settings)
    if not hasattr(processor, "post_process_object_detection"):
        raise UnusableModel(
            f"the image processor of {context.folder.path} ({type(processor).__name__}) cannot read boxes",
            hint="use the preprocessor_config.json that belongs to the detector",
        )
    model: Any = load_model(AutoModelForObjectDetection, context.folder, settings, placement)
    facts = ModelFacts(count_parameters(model), placement.device, placement.dtype, 0)
    return ObjectDetectionTask(context, VisionModel(model, processor), facts)
