"""Speech recognition with a Whisper: an encoder hears windows of thirty seconds, a decoder writes what it hears."""

import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSpeechSeq2Seq

from modelservice_runtime.engine.sampling import Sampling
from modelservice_runtime.engine.scheduling import Scheduler
from modelservice_runtime.engine.slot_scheduler import SlotScheduler
from modelservice_runtime.media.audio import Samples
from modelservice_runtime.media.log_mel import log_mel
from modelservice_runtime.models.device import cache_bytes, choose_placement
from modelservice_runtime.models.loader import count_parameters, load_model, load_tokenizer
from modelservice_runtime.models.seq2seq import Seq2SeqDecoder
from modelservice_runtime.models.whisper_parts import Sound, WhisperParts
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.dictation import Dictation, Scribe
from modelservice_runtime.tasks.generation import PREFILL_TOKENS, SEED_SPAN
from modelservice_runtime.tasks.inputs import Audios, InvalidInput, Item, SpeechOptions, Transcript
from modelservice_runtime.tasks.listening import Listener, load_extractor
from modelservice_runtime.tasks.whisper_alignment import align
from modelservice_runtime.tasks.whisper_tokens import WhisperTokens, language_name, read_tokens


class WhisperTask:
    """Implements `LoadedTask`."""

    def __init__(
        self, context: TaskContext, tokenizer: Any, extractor: Any, scribe: Scribe, facts: ModelFacts, runner: Any
    ) -> None:
        self.facts = facts
        self.scheduler: Scheduler = SlotScheduler(runner, context.intake, context.outbox, context.meter, PREFILL_TOKENS)
        self._tokenizer = tokenizer
        self._extractor = extractor
        self._scribe = scribe
        self._runner = runner
        self._listener = Listener(context.settings, extractor.sampling_rate, context.meter)
        self._multilingual = bool(scribe.tokens.languages)

    def warm_up(self) -> None:
        """Check that batching agrees with the plain model; that also touches every weight."""
        opening = [self._scribe.tokens.start, self._scribe.tokens.no_times]
        self._runner.verify([*opening, *range(20, 20 + min(8, self._scribe.longest - 3))])

    def prepare(self, request: Audios) -> Sequence[Item]:
        """Decode the recordings and compute their spectrograms."""
        options = request.options
        if options.translate and not self._multilingual:
            raise InvalidInput("model", "this model knows English only and translates nothing")
        language = self._scribe.tokens.language_of(options.language)
        prompt = self._prompt(options.prompt)
        items = []
        for samples in self._listener.listen(request):
            features = self._features(samples)
            timed = options.segments or options.words or features.shape[1] > self._scribe.frames
            seconds = len(samples) / self._listener.rate
            frames = max(1, len(samples) // self._extractor.hop_length)
            dictation = Dictation(
                self._scribe,
                features,
                seconds,
                frames,
                language,
                options.translate,
                prompt,
                timed,
                options.words,
                _sampling(options),
            )
            items.append(Item(dictation.window(), features.shape[1] // 2))
        return items

    def finish(self, request: Audios, items: Sequence[Item], results: Sequence[Any]) -> list[Transcript]:
        """Return what each dictation wrote."""
        transcripts = []
        for item in items:
            dictation: Dictation = item.value.observer
            text = "".join(span.text for span in dictation.spans).strip()
            segments = tuple(dictation.spans) if request.options.segments else ()
            language = dictation.language
            name = language_name(language) if language else None
            transcripts.append(Transcript(text, dictation.seconds, language, name, segments, tuple(dictation.words)))
        return transcripts

    def _features(self, samples: Samples) -> Any:
        """Return the spectrogram; a short recording is heard with the silence that fills its window."""
        window = self._scribe.frames * self._extractor.hop_length
        padded = np.pad(samples, (0, max(0, window - len(samples))))
        return log_mel(padded, self._extractor.mel_filters, self._extractor.n_fft, self._extractor.hop_length)

    def _prompt(self, text: str) -> list[int]:
        """Return the tokens of what was said before; the last ones, when there are more than the decoder takes."""
        if not text.strip():
            return []
        ids = self._tokenizer.backend_tokenizer.encode(" " + text.strip(), add_special_tokens=False).ids
        if any(token >= self._scribe.tokens.end for token in ids):
            raise InvalidInput("prompt", "the prompt holds control tokens of the model; send plain text")
        return list(ids[-(self._scribe.longest // 2 - 1) :])


def load(context: TaskContext) -> WhisperTask:
    """Load feature extractor, tokenizer and model, and size the caches. Raises RuntimeFault."""
    settings = context.settings
    placement = choose_placement(settings, context.folder.checkpoint_dtype, context.resources)
    extractor = load_extractor(context.folder)
    tokenizer = load_tokenizer(context.folder, settings)
    model = load_model(AutoModelForSpeechSeq2Seq, context.folder, settings, placement)
    config = model.config
    frames = 2 * config.max_source_positions

    def inputs_of(features: Any) -> dict[str, Any]:
        return {"input_features": torch.from_numpy(features)[None].to(model.device, model.dtype)}

    parts = WhisperParts(model, inputs_of)
    runner = Seq2SeqDecoder(
        parts,
        Sound(np.zeros((config.num_mel_bins, frames), np.float32)),
        config.max_source_positions,
        config.max_target_positions,
        settings.engine.max_concurrency,
        cache_bytes(placement, context.resources),
    )
    tokens: WhisperTokens = read_tokens(model, tokenizer)

    def decode(ids: Sequence[int]) -> str:
        return str(tokenizer.backend_tokenizer.decode(list(ids), skip_special_tokens=True))

    def token_ends(sound: Sound, opening: Sequence[int], written: Sequence[int], places: int) -> list[float]:
        runner.expect_whole()
        weights = parts.attend(sound, [*opening, *written])
        return align(weights[:, len(opening) :, :places], config.median_filter_width)

    scribe = Scribe(tokens, model.generation_config, frames, config.max_target_positions, decode, token_ends)
    facts = ModelFacts(
        count_parameters(model), placement.device, placement.dtype, runner.max_length, runner.budget_tokens
    )
    return WhisperTask(context, tokenizer, extractor, scribe, facts, runner)


def _sampling(options: SpeechOptions) -> Sampling:
    seed = secrets.randbelow(SEED_SPAN) if options.seed is None else options.seed
    return Sampling(options.temperature, seed=seed)
