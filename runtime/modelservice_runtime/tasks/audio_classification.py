"""Audio classification: labels with probabilities for a recording."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import AutoModelForAudioClassification

from modelservice_runtime.engine.scheduling import Scheduler
from modelservice_runtime.models.device import choose_placement
from modelservice_runtime.models.loader import count_parameters, load_model
from modelservice_runtime.models.sound_encoder import SoundEncoder
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.encoding import make_scheduler
from modelservice_runtime.tasks.inputs import Audios, Item, Label
from modelservice_runtime.tasks.listening import Listener, load_extractor

FRAMES_PER_SECOND = 50


class AudioClassificationTask:
    """Implements `LoadedTask`."""

    def __init__(self, context: TaskContext, encoder: SoundEncoder, facts: ModelFacts) -> None:
        self.facts = facts
        self.scheduler: Scheduler = make_scheduler(context, self.run)
        self._encoder = encoder
        self._listener = Listener(context.settings, encoder.rate, context.meter)
        config = encoder.model.config
        self._labels = [str(config.id2label[index]) for index in range(config.num_labels)]

    def warm_up(self) -> None:
        """Run a second of silence."""
        self.run([self._encoder.features(np.zeros(self._encoder.rate, np.float32))])

    def prepare(self, request: Audios) -> Sequence[Item]:
        """Decode the recordings."""
        return [
            Item(self._encoder.features(samples), 1 + FRAMES_PER_SECOND * len(samples) // self._encoder.rate)
            for samples in self._listener.listen(request)
        ]

    def run(self, batch: Sequence[Any]) -> list[list[float]]:
        """Return the probabilities of each recording."""
        return [logits.softmax(dim=-1).tolist() for logits in self._encoder.logits(batch)]

    def finish(self, request: Audios, items: Sequence[Item], results: Sequence[list[float]]) -> list[list[Label]]:
        """Return the labels of each recording, the most likely first."""
        return [
            sorted((Label(*pair) for pair in zip(self._labels, scores, strict=True)), key=lambda label: -label.score)
            for scores in results
        ]


def load(context: TaskContext) -> AudioClassificationTask:
    """Load feature extractor and model. Raises RuntimeFault."""
    placement = choose_placement(context.settings, context.folder.checkpoint_dtype, context.resources)
    extractor = load_extractor(context.folder)
    model: Any = load_model(AutoModelForAudioClassification, context.folder, context.settings, placement)
    facts = ModelFacts(count_parameters(model), placement.device, placement.dtype, 0)
    return AudioClassificationTask(context, SoundEncoder(model, extractor), facts)
