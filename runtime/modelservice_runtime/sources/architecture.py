"""Finds the task of a model from the class that its `config.json` names.

transformers names its classes by what their head computes, so the ending of the name tells the task. A decoder with a
chat template is a chat model; a bare encoder gives features. Where a class serves several tasks the commonest wins,
and `spec.model.task` overrules it. A pipeline of diffusers names its class in `model_index.json`.
"""

from collections.abc import Mapping
from typing import Any

TASK_BY_ENDING = (
    ("ForSequenceClassification", "text-classification"),
    ("ForTokenClassification", "token-classification"),
    ("ForMaskedLM", "fill-mask"),
    ("ForQuestionAnswering", "question-answering"),
    ("ForAudioClassification", "audio-classification"),
    ("ForImageClassification", "image-classification"),
    ("ForObjectDetection", "object-detection"),
    ("ForSemanticSegmentation", "image-segmentation"),
    ("ForInstanceSegmentation", "image-segmentation"),
    ("ForUniversalSegmentation", "image-segmentation"),
    ("ForImageSegmentation", "image-segmentation"),
    ("ForSegmentation", "image-segmentation"),
    ("ForSpeechSeq2Seq", "automatic-speech-recognition"),
    ("ForCTC", "automatic-speech-recognition"),
    ("ForTDT", "automatic-speech-recognition"),
    ("ForCausalLM", "text-generation"),
    ("LMHeadModel", "text-generation"),
    ("Model", "feature-extraction"),
)
SOUND_TYPES = ("data2vec-audio", "hubert", "sew", "sew-d", "unispeech", "unispeech-sat", "wav2vec2", "wavlm")
SPEECH_TYPES = ("whisper", "speech_to_text", "moonshine")
TEXT_TO_TEXT_TYPES = (
    "bart", "blenderbot", "blenderbot-small", "m2m_100", "marian", "mbart", "mt5", "pegasus", "plbart", "t5", "umt5",
)  # fmt: skip
PIPELINES = {"StableDiffusionPipeline": "text-to-image", "StableDiffusionXLPipeline": "text-to-image"}
ZERO_SHOT_TYPES = ("align", "altclip", "chinese_clip", "clip", "metaclip_2", "siglip", "siglip2")
CAPTION_TYPES = ("blip", "blip-2", "git", "vision-encoder-decoder")
TASK_BY_TYPE = (
    (SPEECH_TYPES, ("ForConditionalGeneration",), "automatic-speech-recognition"),
    (TEXT_TO_TEXT_TYPES, ("ForConditionalGeneration", "MTModel"), "text2text-generation"),
    (CAPTION_TYPES, ("",), "image-to-text"),
    (ZERO_SHOT_TYPES, ("Model",), "zero-shot-image-classification"),
)


def architecture_of(config: Mapping[str, Any]) -> str | None:
    """Return the first class that config.json names, or the pipeline that model_index.json does."""
    if isinstance(config.get("_class_name"), str):
        return str(config["_class_name"])
    names = config.get("architectures")
    return str(names[0]) if isinstance(names, list) and names else None


def task_of(config: Mapping[str, Any], *, has_chat_template: bool) -> str | None:
    """Return the task of a model, None when its class tells none."""
    name = architecture_of(config)
    if name is None or name in PIPELINES:
        return PIPELINES.get(name or "")
    kind = config.get("model_type")
    for types, endings, special in TASK_BY_TYPE:
        if kind in types and name.endswith(endings):
            return special
    if "vision_config" in config and name.endswith("ForConditionalGeneration"):
        return "image-text-to-text"
    task = next((task for ending, task in TASK_BY_ENDING if name.endswith(ending)), None)
    if task == "text-generation" and has_chat_template:
        return "chat"
    if task == "text-classification":
        return _task_of_labels(config)
    return task


def _task_of_labels(config: Mapping[str, Any]) -> str:
    """Tell classifiers apart: some hear, one label scores pairs, one that tells entailment judges any sentence."""
    if config.get("model_type") in SOUND_TYPES:
        return "audio-classification"
    if _label_count(config) == 1:
        return "rerank"
    labels = config.get("id2label")
    names = labels.values() if isinstance(labels, Mapping) else ()
    if any(str(name).lower().startswith("entail") for name in names):
        return "zero-shot-classification"
    return "text-classification"


def _label_count(config: Mapping[str, Any]) -> int:
    labels = config.get("id2label")
    if isinstance(labels, Mapping):
        return len(labels)
    count = config.get("num_labels", 2)
    return count if isinstance(count, int) else 2
