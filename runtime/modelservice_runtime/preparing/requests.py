"""Turns samples into requests of the task that a model serves."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modelservice_runtime.preparing.samples import Samples, to_base64
from modelservice_runtime.tasks.base import TaskInfo
from modelservice_runtime.tasks.inputs import (
    Audios,
    Candidates,
    CandidateTexts,
    Comparison,
    Comparisons,
    DetectionOptions,
    GenerationOptions,
    Images,
    MaskedTexts,
    Question,
    Questions,
    TextPrompts,
    Texts,
)

NEW_TOKENS = 32
PROMPTS = 8
TOPICS = ("business", "travel", "food", "technology")
GREEDY = GenerationOptions(max_new_tokens=NEW_TOKENS, temperature=0.0, top_p=1.0, top_k=0, seed=0, stop=(), n=1)


def media_of(info: TaskInfo) -> str:
    """Return what samples of a task are: `text`, `image` or `audio`."""
    if info.reads == "audio":
        return "audio"
    return "image" if "image" in info.reads else "text"


def make_request(info: TaskInfo, samples: Samples, folder: Path) -> Any:
    """Return the request that holds the samples, None for tasks that are not measured."""
    make = FORMS.get(info.reads)
    return None if make is None else make(samples, folder)


def _prompts(samples: Samples, folder: Path) -> Any:
    return TextPrompts(samples.texts[:PROMPTS], GREEDY)


def _texts(samples: Samples, folder: Path) -> Any:
    return Texts(samples.texts)


def _masked(samples: Samples, folder: Path) -> Any:
    """Replace a word in the middle of each text by the tokenizer's mask."""
    texts = []
    for text in samples.texts:
        words = text.split()
        words[len(words) // 2] = _mask_token(folder)
        texts.append(" ".join(words))
    return MaskedTexts(tuple(texts), 1)


def _mask_token(folder: Path) -> str:
    try:
        stated = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("mask_token")
    except (OSError, ValueError, AttributeError):
        stated = None
    token = stated.get("content") if isinstance(stated, Mapping) else stated
    return str(token or "[MASK]")


def _questions(samples: Samples, folder: Path) -> Any:
    return Questions(tuple(Question("What is this about?", text) for text in samples.texts), 1, 15)


def _pairs(samples: Samples, folder: Path) -> Any:
    return Comparisons((Comparison(samples.texts[0], samples.texts),))


def _candidates(samples: Samples, folder: Path) -> Any:
    template = "This text is about {}."
    return CandidateTexts(tuple(Candidates(text, TOPICS, template, False) for text in samples.texts))


def _images(samples: Samples, folder: Path) -> Any:
    return Images(_encoded(samples), "samples.{}", DetectionOptions(0.5))


def _recordings(samples: Samples, folder: Path) -> Any:
    return Audios(samples.files, tuple(f"samples.{index}" for index in range(len(samples.files))))


def _encoded(samples: Samples) -> tuple[str, ...]:
    return tuple(to_base64(file) for file in samples.files)


FORMS: dict[str, Callable[[Samples, Path], Any]] = {
    "prompt": _prompts,
    "text": _texts,
    "text_or_pair": _texts,
    "masked": _masked,
    "question": _questions,
    "query": _pairs,
    "candidates": _candidates,
    "image": _images,
    "audio": _recordings,
}
