"""Zero-shot image classification: which of the given labels fits an image, by a model of images and texts.

CLIP-like models compare the labels with each other (the scores add up to 1); SigLIP-like ones judge each by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForZeroShotImageClassification

from modelservice_runtime.models.device import choose_placement
from modelservice_runtime.models.loader import (
    count_parameters,
    explained,
    load_image_processor,
    load_model,
    load_tokenizer,
)
from modelservice_runtime.models.vision import VisionModel, cost_of, shape_of
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.encoding import make_scheduler
from modelservice_runtime.tasks.imaging import ImageReader, blank_image, run_alike, within_budget
from modelservice_runtime.tasks.inputs import Item, Label, LabelledImages

SIGLIP = "siglip"
SIGLIP_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Query:
    """One image as the model reads it, and the sentences of its labels."""

    features: Any
    texts: tuple[str, ...]


class ZeroShotImagesTask:
    """Implements `LoadedTask`."""

    def __init__(self, context: TaskContext, vision: VisionModel, tokenizer: Any, facts: ModelFacts) -> None:
        self.facts = facts
        self.scheduler = make_scheduler(context, self.run)
        self._reader = ImageReader(context.settings)
        self._vision = vision
        self._folder = context.folder
        self._tokenizer = tokenizer
        self._siglip = SIGLIP in vision.model.config.model_type

    def warm_up(self) -> None:
        """Compare a blank picture with two texts. Raises UnusableModel when the model cannot."""
        with explained(self._folder):
            self.run([Query(self._vision.prepare(blank_image()), ("something", "nothing"))])

    def prepare(self, request: LabelledImages) -> Sequence[Item]:
        """Decode, scale and normalise."""
        queries = (
            Query(self._vision.prepare(image), tuple(texts))
            for image, texts in zip(self._reader.read(request.images), request.texts, strict=True)
        )
        items = (Item(query, cost_of(query.features) + len(query.texts)) for query in queries)
        return within_budget(items, request.images)

    def run(self, batch: Sequence[Query]) -> list[list[float]]:
        """Return a score for each label of each image."""
        return run_alike(batch, lambda query: (shape_of(query.features), query.texts), self._run)

    def _run(self, batch: Sequence[Query]) -> list[list[float]]:
        texts = self._tokenise(list(batch[0].texts))
        logits = self._vision.forward([query.features for query in batch], **texts).logits_per_image.float()
        scores: list[list[float]] = (logits.sigmoid() if self._siglip else logits.softmax(dim=-1)).tolist()
        return scores

    def _tokenise(self, texts: list[str]) -> dict[str, Any]:
        """Tokenise as the models were trained: SigLIP always to the same length."""
        options: dict[str, Any] = {"padding": True, "truncation": True}
        if self._siglip:
            options |= {"padding": "max_length", "max_length": SIGLIP_TOKENS}
        encoded = self._tokenizer(texts, **options)
        return {name: torch.tensor(rows) for name, rows in encoded.items()}

    def finish(
        self, request: LabelledImages, items: Sequence[Item], results: Sequence[list[float]]
    ) -> list[list[Label]]:
        """Return the labels of each image, the best first."""
        return [
            sorted((Label(*pair) for pair in zip(labels, scores, strict=True)), key=lambda label: -label.score)
            for labels, scores in zip(request.labels, results, strict=True)
        ]


def load(context: TaskContext) -> ZeroShotImagesTask:
    """Load image processor, tokenizer and model. Raises RuntimeFault."""
    settings = context.settings
    placement = choose_placement(settings, context.folder.checkpoint_dtype, context.resources)
    processor = load_image_processor(context.folder, settings)
    tokenizer = load_tokenizer(context.folder, settings, fast=False)
    model: Any = load_model(AutoModelForZeroShotImageClassification, context.folder, settings, placement)
    facts = ModelFacts(count_parameters(model), placement.device, placement.dtype, 0)
    return ZeroShotImagesTask(context, VisionModel(model, processor), tokenizer, facts)
