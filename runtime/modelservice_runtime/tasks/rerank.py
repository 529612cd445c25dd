"""Reranking with a cross-encoder: query and document are read together, and one number tells how well they fit."""

from collections.abc import Sequence

from transformers import AutoModelForSequenceClassification

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.encoder import TextEncoder, Tokens
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.encoding import check_count, load_encoder, make_scheduler, pair_item, warm_up
from modelservice_runtime.tasks.inputs import Comparisons, Item, TextPair


class RerankTask:
    """Implements `LoadedTask`."""

    def __init__(self, context: TaskContext, encoder: TextEncoder, facts: ModelFacts) -> None:
        self.facts = facts
        self.scheduler = make_scheduler(context, self.run)
        self._encoder = encoder
        self._most = context.settings.limits.max_inputs

    def warm_up(self) -> None:
        """Run a small batch."""
        warm_up(self.run, self._encoder)

    def prepare(self, request: Comparisons) -> Sequence[Item]:
        """Tokenise the query together with each document."""
        check_count(sum(len(each.others) for each in request.comparisons), self._most)
        return [
            pair_item(self._encoder, TextPair(each.text, other), f"{request.others_field}.{index}")
            for each in request.comparisons
            for index, other in enumerate(each.others)
        ]

    def run(self, batch: Sequence[Tokens]) -> list[float]:
        """Return the score of each pair, 0 to 1."""
        output, _ = self._encoder.forward(batch)
        scores: list[float] = output.logits.float()[:, 0].sigmoid().tolist()
        return scores

    def finish(self, request: Comparisons, items: Sequence[Item], results: Sequence[float]) -> list[list[float]]:
        """Return the scores of each query's documents, in the order of the documents."""
        scores = iter(results)
        return [[next(scores) for _ in each.others] for each in request.comparisons]


def load(context: TaskContext) -> RerankTask:
    """Load tokenizer and model. Raises RuntimeFault."""
    encoder, facts = load_encoder(context, AutoModelForSequenceClassification)
    labels = encoder.model.config.num_labels
    if labels != 1:
        raise UnusableModel(
            f"{context.folder.card.architecture} of {context.folder.path} has {labels} labels; "
            "a reranker has one, the relevance",
            hint="use a cross-encoder with one label, an embedding model, or set model.task to text-classification",
        )
    return RerankTask(context, encoder, facts)
