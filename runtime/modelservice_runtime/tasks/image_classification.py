"""Image classification: labels with probabilities."""

from collections.abc import Sequence
from typing import Any

from transformers import AutoModelForImageClassification

from modelservice_runtime.engine.piecewise_scheduler import Work
from modelservice_runtime.models.device import choose_placement
from modelservice_runtime.models.loader import count_parameters, explained, load_image_processor, load_model
from modelservice_runtime.models.vision import VisionModel, cost_of, shape_of
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.encoding import make_scheduler
from modelservice_runtime.tasks.explaining import ExplainOptions
from modelservice_runtime.tasks.image_explaining import ImageExplainer
from modelservice_runtime.tasks.imaging import ImageReader, blank_image, run_alike, within_budget
from modelservice_runtime.tasks.inputs import Images, Item, Label

MULTI_LABEL = "multi_label_classification"
INDEPENDENT = (MULTI_LABEL, "regression")


class ImageClassificationTask:
    """Implements `LoadedTask` and `Explainable`."""

    def __init__(self, context: TaskContext, vision: VisionModel, facts: ModelFacts) -> None:
        self.facts = facts
        self.scheduler = make_scheduler(context, self.run)
        self._reader = ImageReader(context.settings)
        self._vision = vision
        self._folder = context.folder
        config = vision.model.config
        self._labels = [str(config.id2label[index]) for index in range(config.num_labels)]
        self._activation = _activation(config)
        self._explainer = ImageExplainer(vision, self._labels, independent=config.problem_type in INDEPENDENT)

    def warm_up(self) -> None:
        """Classify a blank picture. Raises UnusableModel when the model cannot."""
        with explained(self._folder):
            self.run([self._vision.prepare(blank_image())])

    def prepare(self, request: Images) -> Sequence[Item]:
        """Decode, scale and normalise."""
        features = (self._vision.prepare(image) for image in self._reader.read(request))
        return within_budget((Item(each, cost_of(each)) for each in features), request)

    def run(self, batch: Sequence[Any]) -> list[list[float]]:
        """Return the scores of each image."""
        return run_alike(batch, shape_of, self._run)

    def _run(self, batch: Sequence[Any]) -> list[list[float]]:
        logits = self._vision.forward(batch).logits.float()
        scores: list[list[float]] = self._activation(logits).tolist()
        return scores

    def prepare_explanation(self, request: Images, options: ExplainOptions) -> Sequence[Item]:
        """Decode, scale and normalise."""
        return within_budget((self._explainer.prepare(image, options) for image in self._reader.read(request)), request)

    def explain(self, value: Any) -> Work:
        """Tell what each part of a picture added to a label."""
        return self._explainer.explain(value)

    def finish(self, request: Images, items: Sequence[Item], results: Sequence[list[float]]) -> list[list[Label]]:
        """Return the labels of each image, the most likely first."""
        return [
            sorted((Label(*pair) for pair in zip(self._labels, scores, strict=True)), key=lambda label: -label.score)
            for scores in results
        ]


def _activation(config: Any) -> Any:
    """Return what turns logits to scores: as they are, independent probabilities, or ones that add up to 1."""
    if config.problem_type == "regression":
        return lambda logits: logits
    if config.problem_type == MULTI_LABEL or config.num_labels == 1:
        return lambda logits: logits.sigmoid()
    return lambda logits: logits.softmax(dim=-1)


def load(context: TaskContext) -> ImageClassificationTask:
    """Load image processor and model. Raises RuntimeFault."""
    settings = context.settings
    placement = choose_placement(settings, context.folder.checkpoint_dtype, context.resources)
    processor = load_image_processor(context.folder, settings)
    model: Any = load_model(AutoModelForImageClassification, context.folder, settings, placement)
    facts = ModelFacts(count_parameters(model), placement.device, placement.dtype, 0)
    return ImageClassificationTask(context, VisionModel(model, processor), facts)
