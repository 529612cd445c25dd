"""Measures a model before and after: how it loads, how fast it answers, and whether it answers the same.

Both are in memory at the same time and take turns, the first of each round in turn too, so that what else the machine
does falls on both alike. The median of the rounds is told, with the slowest and the fastest.
"""

import logging
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from modelservice_runtime.config import Settings, load_settings
from modelservice_runtime.models.device import cpu_computes_bfloat16
from modelservice_runtime.models.folder import ModelFolder, open_folder
from modelservice_runtime.preparing.agreement import Agreement, compare_answers, compare_logits
from modelservice_runtime.preparing.readers import open_reader
from modelservice_runtime.preparing.requests import make_request, media_of
from modelservice_runtime.preparing.samples import Samples, collect_samples
from modelservice_runtime.preparing.served import ServedModel
from modelservice_runtime.tasks.base import TaskInfo, resolve_task

log = logging.getLogger(__name__)

ROUND_SECONDS = 0.5
EMBEDDINGS = "feature-extraction"


@dataclass(frozen=True)
class Speed:
    """Units a second: the median of the rounds, the slowest and the fastest."""

    median: float
    slowest: float
    fastest: float


@dataclass(frozen=True)
class Measured:
    """How one of the two did; `dtype` is what the server computes in."""

    load_seconds: float
    dtype: str
    speed: Speed | None = None


@dataclass(frozen=True)
class Comparison:
    """Before, after, and how far they agree; `unit` is what speed counts."""

    before: Measured
    after: Measured
    agreement: Agreement
    unit: str
    rounds: int
    samples: str
    processor: dict[str, Any]


def compare(before: Path, after: Path, samples: Path | None, rounds: int) -> Comparison:
    """Measure both folders. Raises RuntimeFault, above all when the result cannot be served."""
    settings = load_settings({"engine": {"quantization": "none", "prefix_cache": False}})
    folders = [open_folder(before), open_folder(after)]
    info = resolve_task(settings.model.task, folders[0])
    given = collect_samples(samples, media_of(info))
    models, seconds = _load(info, folders, settings)
    given = _keep_readable(given, info, models[0], before)
    agreement = _compare_logits(info, folders, settings, given)
    request = make_request(info, given, before)
    speeds: list[Speed | None] = [None, None]
    unit = "inputs/s"
    if request is not None:
        one, other = (model.answer(request) for model in models)
        agreement |= compare_answers(one.answers, other.answers)
        unit = one.unit
        speeds = list(_race(models, request, rounds))
    sides = [
        Measured(round(taken, 3), model.facts.dtype, speed)
        for model, taken, speed in zip(models, seconds, speeds, strict=True)
    ]
    agreed = Agreement(len(given.texts or given.files), **agreement)
    return Comparison(sides[0], sides[1], agreed, unit, rounds, given.origin, _processor(models[0]))


def _load(info: TaskInfo, folders: Sequence[ModelFolder], settings: Settings) -> tuple[list[ServedModel], list[float]]:
    """Load both models, twice: the first to be loaded pays for what a process does only once."""
    log.info("loading both models")
    seconds = [ServedModel(info, folder, settings).load_seconds for folder in folders]
    models = [ServedModel(info, folder, settings) for folder in folders]
    return models, [min(first, model.load_seconds) for first, model in zip(seconds, models, strict=True)]


def _keep_readable(given: Samples, info: TaskInfo, model: ServedModel, folder: Path) -> Samples:
    """Leave out the texts that are too long for the model; all are kept when it can read none, for it to say why."""
    kept = [text for text in given.texts if model.reads(make_request(info, replace(given, texts=(text,)), folder))]
    return replace(given, texts=tuple(kept)) if kept else given


def _compare_logits(
    info: TaskInfo, folders: Sequence[ModelFolder], settings: Settings, samples: Samples
) -> dict[str, float | None]:
    found = []
    for folder in folders:
        log.info("computing logits", extra={"model": str(folder.path)})
        reader = open_reader(info.name, folder, settings, samples)
        if reader is None:
            return {}
        found.append(reader.logits())
    return compare_logits(*found, embeddings=info.name == EMBEDDINGS)


def _race(models: Sequence[ServedModel], request: Any, rounds: int) -> list[Speed]:
    paces: list[list[float]] = [[] for _ in models]
    for number in range(rounds):
        order = range(len(models)) if number % 2 == 0 else reversed(range(len(models)))
        for place in order:
            paces[place].append(_pace(models[place], request))
        log.info("measured", extra={"round": number + 1, "rounds": rounds})
    return [Speed(*(round(f(each), 2) for f in (statistics.median, min, max))) for each in paces]


def _pace(model: ServedModel, request: Any) -> float:
    """Return the units a second of one round."""
    units, seconds = 0, 0.0
    while seconds < ROUND_SECONDS:
        answers = model.answer(request)
        units, seconds = units + answers.made, seconds + answers.seconds
    return units / seconds


def _processor(model: ServedModel) -> dict[str, Any]:
    """Return what the figures were taken on."""
    return {
        "device": model.facts.device,
        "cpuCapability": torch.backends.cpu.get_cpu_capability(),
        "bfloat16": cpu_computes_bfloat16(),
        "threads": torch.get_num_threads(),
    }
