"""Text classification: labels with probabilities."""

from collections.abc import Sequence
from typing import Any

from transformers import AutoModelForSequenceClassification

from modelservice_runtime.engine.piecewise_scheduler import Work
from modelservice_runtime.models.encoder import TextEncoder, Tokens
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.encoding import load_encoder, make_scheduler, prepare_texts, warm_up
from modelservice_runtime.tasks.explaining import ExplainOptions
from modelservice_runtime.tasks.inputs import Item, Label, Texts
from modelservice_runtime.tasks.text_explaining import TextExplainer

MULTI_LABEL = "multi_label_classification"


class ClassificationTask:
    """Implements `LoadedTask` and `Explainable`."""

    def __init__(self, context: TaskContext, encoder: TextEncoder, facts: ModelFacts) -> None:
        self.facts = facts
        self.scheduler = make_scheduler(context, self.run)
        self._encoder = encoder
        self._most = context.settings.limits.max_inputs
        config = encoder.model.config
        self._labels = [str(config.id2label[index]) for index in range(config.num_labels)]
        self._independent = config.problem_type == MULTI_LABEL or config.num_labels == 1
        self._explainer = TextExplainer(encoder, self._labels, independent=self._independent)

    def warm_up(self) -> None:
        """Run a small batch."""
        warm_up(self.run, self._encoder)

    def prepare(self, request: Texts) -> Sequence[Item]:
        """Tokenise."""
        return prepare_texts(self._encoder, request, self._most)

    def run(self, batch: Sequence[Tokens]) -> list[list[float]]:
        """Return the probabilities of each input; independent ones (sigmoid) for multi-label models."""
        output, _ = self._encoder.forward(batch)
        logits = output.logits.float()
        probabilities: list[list[float]] = (logits.sigmoid() if self._independent else logits.softmax(dim=-1)).tolist()
        return probabilities

    def prepare_explanation(self, request: Texts, options: ExplainOptions) -> Sequence[Item]:
        """Tokenise, keeping where each token lies in its text."""
        return self._explainer.prepare(request, options)

    def explain(self, value: Any) -> Work:
        """Tell what each token added to a label."""
        return self._explainer.explain(value)

    def finish(self, request: Texts, items: Sequence[Item], results: Sequence[list[float]]) -> list[list[Label]]:
        """Return the labels of each input, the most likely first."""
        return [
            sorted((Label(*pair) for pair in zip(self._labels, scores, strict=True)), key=lambda label: -label.score)
            for scores in results
        ]


def load(context: TaskContext) -> ClassificationTask:
    """Load tokenizer and model. Raises RuntimeFault."""
    encoder, facts = load_encoder(context, AutoModelForSequenceClassification)
    return ClassificationTask(context, encoder, facts)
