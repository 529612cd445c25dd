"""Speech recognition with a CTC head (wav2vec2, HuBERT): every frame is a letter or a blank, so words have times.

Long recordings are cut where it is quiet, and the windows are heard side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import AutoModelForCTC

from modelservice_runtime.engine.scheduling import Scheduler
from modelservice_runtime.media.windows import cut_quietly
from modelservice_runtime.models.device import choose_placement
from modelservice_runtime.models.loader import count_parameters, load_model, load_tokenizer
from modelservice_runtime.models.sound_encoder import SoundEncoder
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.encoding import make_scheduler
from modelservice_runtime.tasks.inputs import Audios, InvalidInput, Item, Span, SpeechOptions, Transcript
from modelservice_runtime.tasks.listening import Listener, load_extractor

WINDOW_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Window:
    """A part of recording number `recording`, which lasts `seconds`; `start` in seconds."""

    recording: int
    start: float
    seconds: float
    values: Any


class CtcTask:
    """Implements `LoadedTask`."""

    def __init__(self, context: TaskContext, encoder: SoundEncoder, tokenizer: Any, facts: ModelFacts) -> None:
        self.facts = facts
        self.scheduler: Scheduler = make_scheduler(context, self.run)
        self._encoder = encoder
        self._tokenizer = tokenizer
        self._listener = Listener(context.settings, encoder.rate, context.meter)
        self._frame = encoder.model.config.inputs_to_logits_ratio

    def warm_up(self) -> None:
        """Run a second of silence, and less."""
        silence = np.zeros(self._encoder.rate, np.float32)
        values = [self._encoder.features(each) for each in (silence, silence[: self._encoder.rate // 2])]
        self.run([Window(0, 0.0, 1.0, each) for each in values])

    def prepare(self, request: Audios) -> Sequence[Item]:
        """Decode the recordings and cut them into windows."""
        _refuse_options(request.options)
        items, rate = [], self._encoder.rate
        for index, samples in enumerate(self._listener.listen(request)):
            for first, part in cut_quietly(samples, rate, WINDOW_SECONDS):
                window = Window(index, first / rate, len(samples) / rate, self._encoder.features(part))
                items.append(Item(window, 1 + len(part) // self._frame))
        return items

    def run(self, batch: Sequence[Window]) -> list[list[int]]:
        """Return the likeliest letter of each frame of each window."""
        return [logits.argmax(dim=-1).tolist() for logits in self._encoder.logits([each.values for each in batch])]

    def finish(self, request: Audios, items: Sequence[Item], results: Sequence[list[int]]) -> list[Transcript]:
        """Join the windows of each recording."""
        transcripts = []
        for index in range(len(request.audios)):
            heard = [
                (item.value, ids) for item, ids in zip(items, results, strict=True) if item.value.recording == index
            ]
            words = tuple(word for window, ids in heard for word in self._words(window, ids))
            texts = (self._tokenizer.decode(ids).strip() for _, ids in heard)
            text = " ".join(each for each in texts if each)
            segments = tuple(self._segment(window, ids) for window, ids in heard) if request.options.segments else ()
            transcripts.append(Transcript(text, heard[0][0].seconds, segments=segments, words=words))
        return transcripts

    def _words(self, window: Window, ids: list[int]) -> list[Span]:
        offsets = self._tokenizer.decode(ids, output_word_offsets=True).word_offsets
        seconds = self._frame / self._encoder.rate
        return [
            Span(
                each["word"],
                round(window.start + each["start_offset"] * seconds, 3),
                round(window.start + each["end_offset"] * seconds, 3),
            )
            for each in offsets
            if each["word"]
        ]

    def _segment(self, window: Window, ids: list[int]) -> Span:
        words = self._words(window, ids)
        start, end = (words[0].start, words[-1].end) if words else (window.start, window.start)
        return Span(" ".join(word.text for word in words), start, end)


def load(context: TaskContext) -> CtcTask:
    """Load feature extractor, letters and model. Raises RuntimeFault."""
    placement = choose_placement(context.settings, context.folder.checkpoint_dtype, context.resources)
    extractor = load_extractor(context.folder)
    tokenizer = load_tokenizer(context.folder, context.settings, fast=False)
    model: Any = load_model(AutoModelForCTC, context.folder, context.settings, placement)
    facts = ModelFacts(count_parameters(model), placement.device, placement.dtype, 0)
    return CtcTask(context, SoundEncoder(model, extractor), tokenizer, facts)


def _refuse_options(options: SpeechOptions) -> None:
    """Refuse what a model with a CTC head cannot do; ignoring it would answer another question."""
    advice = "leave it out: this model hears one language and takes no such option"
    given = {"language": options.language, "prompt": options.prompt, "temperature": options.temperature}
    for field, value in given.items():
        if value:
            raise InvalidInput(field, f"{field} is not supported by this model; {advice}")
    if options.translate:
        raise InvalidInput("model", "this model does not translate; use /v1/audio/transcriptions")
