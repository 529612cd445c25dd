"""Feature extraction: one vector a text."""

from collections.abc import Sequence
from typing import Any

from transformers import AutoModel

from modelservice_runtime.models.device import choose_placement
from modelservice_runtime.models.encoder import TextEncoder, longest_input
from modelservice_runtime.models.loader import count_parameters, load_model, load_tokenizer
from modelservice_runtime.models.pooling import Pooling, read_pooling
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.encoding import make_scheduler, prepare_texts, warm_up
from modelservice_runtime.tasks.inputs import Item, Texts, Vector


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

    def prepare(self, request: Texts) -> Sequence[Item]:
        """Tokenise."""
        return prepare_texts(self._encoder, request, self._most)

    def run(self, batch: Sequence[Sequence[int]]) -> list[Vector]:
        """Return the vector of each input."""
        output, mask = self._encoder.forward(batch)
        vectors = self._pooling.apply(output.last_hidden_state, mask).cpu().numpy()
        return [Vector(vector.astype("<f4").tobytes()) for vector in vectors]

    def finish(self, request: Texts, items: Sequence[Item], results: Sequence[Vector]) -> list[Vector]:
        """Return the vectors as they are."""
        return list(results)


def load(context: TaskContext) -> EmbeddingTask:
    """Load tokenizer, model and pooling. Raises RuntimeFault."""
    settings = context.settings
    pooling = read_pooling(context.folder)
    placement = choose_placement(settings, context.folder.checkpoint_dtype, context.resources)
    tokenizer = load_tokenizer(context.folder, settings)
    model: Any = load_model(AutoModel, context.folder, settings, placement)
    longest = longest_input(model, tokenizer, settings.engine.max_context)
    if pooling.longest and not settings.engine.max_context:
        longest = min(longest, pooling.longest)
    facts = ModelFacts(count_parameters(model), placement.device, placement.dtype, longest)
    return EmbeddingTask(context, TextEncoder(model, tokenizer, longest), pooling, facts)
