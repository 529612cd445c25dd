"""Feature extraction: one vector a text; and how alike texts are, by the cosine of their vectors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import AutoModel

from modelservice_runtime.models.encoder import TextEncoder
from modelservice_runtime.models.pooling import Pooling, read_pooling
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.encoding import (
    check_count,
    load_encoder,
    make_scheduler,
    prepare_texts,
    text_item,
    warm_up,
)
from modelservice_runtime.tasks.inputs import Comparisons, Item, Texts, Vector


class EmbeddingTask:
    """Implements `LoadedTask`."""

    def __init__(self, context: TaskContext, encoder: TextEncoder, pooling: Pooling, facts: ModelFacts) -> None:
        self.facts = facts
        self.scheduler = make_scheduler(context, self.run)
        self._encoder = encoder
        self._pooling = pooling
        self._most = context.settings.limits.max_inputs

    def warm_up(self) -> None:
        """Run a small batch."""
        warm_up(self.run, self._encoder)

    def prepare(self, request: Texts | Comparisons) -> Sequence[Item]:
        """Tokenise; a text and those that it is compared with are inputs like any others."""
        if not isinstance(request, Comparisons):
            return prepare_texts(self._encoder, request, self._most)
        named = [
            (field, text)
            for each in request.comparisons
            for field, text in (
                (request.text_field, each.text),
                *((f"{request.others_field}.{index}", other) for index, other in enumerate(each.others)),
            )
        ]
        check_count(len(named), self._most)
        return [text_item(self._encoder, text, field) for field, text in named]

    def run(self, batch: Sequence[Sequence[int]]) -> list[Vector]:
        """Return the vector of each input."""
        output, mask = self._encoder.forward(batch)
        vectors = self._pooling.apply(output.last_hidden_state, mask).cpu().numpy()
        return [Vector(vector.astype("<f4").tobytes()) for vector in vectors]

    def finish(self, request: Texts | Comparisons, items: Sequence[Item], results: Sequence[Vector]) -> list[Any]:
        """Return the vectors as they are, or the cosines of each text with those that it is compared with."""
        if not isinstance(request, Comparisons):
            return list(results)
        vectors = iter(results)
        return [compute_cosines(next(vectors), [next(vectors) for _ in each.others]) for each in request.comparisons]


def compute_cosines(vector: Vector, others: Sequence[Vector]) -> list[float]:
    """Return the cosine of the angle between a vector and each of the others."""
    one = np.frombuffer(vector.data, "<f4")
    many = np.frombuffer(b"".join(other.data for other in others), "<f4").reshape(len(others), -1)
    cosines: list[float] = (many @ one / (np.linalg.norm(many, axis=1) * np.linalg.norm(one))).tolist()
    return cosines


def load(context: TaskContext) -> EmbeddingTask:
    """Load tokenizer, model and pooling. Raises RuntimeFault."""
    pooling = read_pooling(context.folder)
    encoder, facts = load_encoder(context, AutoModel, longest=pooling.longest)
    return EmbeddingTask(context, encoder, pooling, facts)
