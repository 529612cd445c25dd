"""The plain model of a task with its samples as inputs: for comparing logits, and for telling what can be pruned."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import torch
from PIL import Image
from transformers import (
    AutoModel,
    AutoModelForAudioClassification,
    AutoModelForCausalLM,
    AutoModelForCTC,
    AutoModelForImageClassification,
    AutoModelForMaskedLM,
    AutoModelForObjectDetection,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForSpeechSeq2Seq,
    AutoModelForTokenClassification,
)

from modelservice_runtime.config import Settings
from modelservice_runtime.engine.resources import read_resources
from modelservice_runtime.media.audio import decode_audio
from modelservice_runtime.models.device import choose_placement, without_gradients
from modelservice_runtime.models.folder import ModelFolder
from modelservice_runtime.models.loader import load_image_processor, load_model, load_tokenizer
from modelservice_runtime.models.pooling import read_pooling
from modelservice_runtime.preparing.samples import Samples
from modelservice_runtime.tasks.listening import load_extractor

LONGEST = 64
DECODED = 8
Feed = dict[str, Any]
CLASSES = {
    "chat": AutoModelForCausalLM,
    "text-generation": AutoModelForCausalLM,
    "text-classification": AutoModelForSequenceClassification,
    "zero-shot-classification": AutoModelForSequenceClassification,
    "rerank": AutoModelForSequenceClassification,
    "token-classification": AutoModelForTokenClassification,
    "fill-mask": AutoModelForMaskedLM,
    "question-answering": AutoModelForQuestionAnswering,
    "feature-extraction": AutoModel,
    "text2text-generation": AutoModelForSeq2SeqLM,
    "summarization": AutoModelForSeq2SeqLM,
    "translation": AutoModelForSeq2SeqLM,
    "image-classification": AutoModelForImageClassification,
    "object-detection": AutoModelForObjectDetection,
    "audio-classification": AutoModelForAudioClassification,
}
TEXT_TO_TEXT = ("text2text-generation", "summarization", "translation")


@dataclass(frozen=True)
class Reader:
    """A model, its inputs for each sample, and what is compared of its output: rows of numbers."""

    model: Any
    feeds: Sequence[Feed]
    pick: Callable[[Any, Feed], Any]

    @without_gradients
    def logits(self) -> list[Any]:
        """Return the rows of each sample, [rows, classes] in float32 on the CPU."""
        return [self.pick(self.model(**feed), feed).float().cpu() for feed in self.feeds]


def open_reader(task: str, folder: ModelFolder, settings: Settings, samples: Samples) -> Reader | None:
    """Load the model that a task computes with; None for tasks whose output is no logits. Raises RuntimeFault."""
    if task == "automatic-speech-recognition":
        auto_class = AutoModelForCTC if (folder.card.architecture or "").endswith("CTC") else AutoModelForSpeechSeq2Seq
    else:
        auto_class = CLASSES.get(task)
    if auto_class is None:
        return None
    placement = choose_placement(settings, folder.checkpoint_dtype, read_resources())
    model = load_model(auto_class, folder, settings, placement)
    feeds = [_place(feed, model) for feed in _feeds(task, folder, settings, samples, model)]
    return Reader(model, feeds, _picker(task, folder))


def _feeds(task: str, folder: ModelFolder, settings: Settings, samples: Samples, model: Any) -> list[Feed]:
    if samples.texts:
        feeds = _read_texts(folder, settings, samples, model)
        if task in TEXT_TO_TEXT:
            feeds = [feed | {"decoder_input_ids": feed["input_ids"][:, :DECODED]} for feed in feeds]
        return feeds
    if task in ("image-classification", "object-detection"):
        processor = load_image_processor(folder, settings)
        images = [Image.open(BytesIO(file)).convert("RGB") for file in samples.files]
        pixels = (processor(images=[image], return_tensors="np").pixel_values for image in images)
        return [{"pixel_values": torch.from_numpy(each)} for each in pixels]
    return _hear(folder, settings, samples, model)


def _read_texts(folder: ModelFolder, settings: Settings, samples: Samples, model: Any) -> list[Feed]:
    tokenizer = load_tokenizer(folder, settings)
    longest = min(LONGEST, int(getattr(model.config.get_text_config(), "max_position_embeddings", LONGEST)))
    rows = [tokenizer.backend_tokenizer.encode(text).ids[:longest] for text in samples.texts]
    return [{"input_ids": torch.tensor([row])} for row in rows if len(row) > 1]


def _hear(folder: ModelFolder, settings: Settings, samples: Samples, model: Any) -> list[Feed]:
    extractor = load_extractor(folder)
    name, rate = model.main_input_name, extractor.sampling_rate
    feeds = []
    for index, file in enumerate(samples.files):
        heard = decode_audio(file, f"samples.{index}", rate, settings.limits.max_audio_seconds)
        feed = {name: torch.from_numpy(extractor(heard, sampling_rate=rate, return_tensors="np")[name])}
        if model.config.is_encoder_decoder:
            start = int(model.config.decoder_start_token_id or 0)
            feed["decoder_input_ids"] = torch.tensor([[start, *range(20, 20 + DECODED)]])
        feeds.append(feed)
    return feeds


def _place(feed: Feed, model: Any) -> Feed:
    return {
        name: tensor.to(model.device, model.dtype if tensor.is_floating_point() else tensor.dtype)
        for name, tensor in feed.items()
    }


def _picker(task: str, folder: ModelFolder) -> Callable[[Any, Feed], Any]:
    if task == "question-answering":
        return lambda output, _: torch.cat([output.start_logits, output.end_logits])
    if task == "feature-extraction":
        pooling = read_pooling(folder)
        return lambda output, feed: pooling.apply(output.last_hidden_state, torch.ones_like(feed["input_ids"]))
    return lambda output, _: output.logits.flatten(0, -2)
