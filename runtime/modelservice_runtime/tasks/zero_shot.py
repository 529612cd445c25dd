"""Zero-shot classification with a model of natural language inference.

Each candidate label is put into a sentence, and the model judges whether the text entails that sentence. The scores are
those of transformers' pipeline: over all labels of a text, or, when labels do not exclude one another, entailment
against contradiction for each label alone.
"""

import math
from collections.abc import Sequence
from typing import Any

from transformers import AutoModelForSequenceClassification

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.encoder import TextEncoder, Tokens
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.encoding import field_of, load_encoder, make_scheduler, pair_item, warm_up
from modelservice_runtime.tasks.inputs import Candidates, CandidateTexts, InvalidInput, Item, Label, TextPair

SLOT = "{}"


class ZeroShotTask:
    """Implements `LoadedTask`; `entailment` is the index of the label that says yes."""

    def __init__(self, context: TaskContext, encoder: TextEncoder, facts: ModelFacts, entailment: int) -> None:
        self.facts = facts
        self.scheduler = make_scheduler(context, self.run)
        self._encoder = encoder
        self._most = context.settings.limits.max_inputs
        self._yes = entailment
        self._no = encoder.model.config.num_labels - 1 if entailment == 0 else 0

    def warm_up(self) -> None:
        """Run a small batch."""
        warm_up(self.run, self._encoder)

    def prepare(self, request: CandidateTexts) -> Sequence[Item]:
        """Tokenise each text together with the sentence of each of its labels."""
        count = sum(len(each.labels) for each in request.texts)
        if count > self._most:
            raise InvalidInput(
                "candidate_labels",
                f"at most {self._most} labels are judged in one request, over all texts, not {count}",
            )
        items = []
        for index, each in enumerate(request.texts):
            if SLOT not in each.template:
                raise InvalidInput("hypothesis_template", "the template needs {}, where the label goes")
            field = field_of("input", index, len(request.texts))
            for label in each.labels:
                pair = TextPair(each.text, each.template.replace(SLOT, label))
                items.append(pair_item(self._encoder, pair, field))
        return items

    def run(self, batch: Sequence[Tokens]) -> list[list[float]]:
        """Return the logits of each pair."""
        output, _ = self._encoder.forward(batch)
        logits: list[list[float]] = output.logits.float().tolist()
        return logits

    def finish(self, request: CandidateTexts, items: Sequence[Item], results: Sequence[Any]) -> list[list[Label]]:
        """Return the labels of each text, the most likely first."""
        rest = iter(results)
        return [self._rank(each, [next(rest) for _ in each.labels]) for each in request.texts]

    def _rank(self, text: Candidates, logits: Sequence[Sequence[float]]) -> list[Label]:
        if text.multi_label or len(logits) == 1:
            scores = [_softmax([row[self._no], row[self._yes]])[1] for row in logits]
        else:
            scores = _softmax([row[self._yes] for row in logits])
        labels = (Label(*pair) for pair in zip(text.labels, scores, strict=True))
        return sorted(labels, key=lambda label: -label.score)


def _softmax(logits: Sequence[float]) -> list[float]:
    highest = max(logits)
    powers = [math.exp(logit - highest) for logit in logits]
    return [power / sum(powers) for power in powers]


def load(context: TaskContext) -> ZeroShotTask:
    """Load tokenizer and model. Raises RuntimeFault."""
    encoder, facts = load_encoder(context, AutoModelForSequenceClassification)
    labels = encoder.model.config.id2label
    entailment = next((i for i, label in sorted(labels.items()) if str(label).lower().startswith("entail")), None)
    if entailment is None:
        raise UnusableModel(
            f"{context.folder.card.architecture} of {context.folder.path} has the labels "
            f"{', '.join(map(str, list(labels.values())[:5]))}, none of which is entailment",
            hint="use a model of natural language inference, or set model.task to text-classification",
        )
    return ZeroShotTask(context, encoder, facts, entailment)
