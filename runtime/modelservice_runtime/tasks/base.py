"""What a task is, and the table of all tasks.

The table is free of torch: the server reads it while the model is not loaded. The module of a task is imported on the
torch thread, when its model is loaded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

from modelservice_runtime.config import Settings
from modelservice_runtime.engine.intake import Intake
from modelservice_runtime.engine.resources import Resources
from modelservice_runtime.engine.scheduling import Meter, Outbox, Scheduler
from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.folder import ModelFolder
from modelservice_runtime.tasks.inputs import Item


@dataclass(frozen=True, slots=True)
class TaskContext:
    """What a task is given to load itself."""

    task: str
    folder: ModelFolder
    settings: Settings
    resources: Resources
    intake: Intake
    outbox: Outbox
    meter: Meter


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a loaded model turned out to be."""

    parameters: int
    device: str
    dtype: str
    context: int
    kv_budget_tokens: int = 0
    attention: str = ""


class LoadedTask(Protocol):
    """A task with its model in memory."""

    facts: ModelFacts
    scheduler: Scheduler

    def warm_up(self) -> None:
        """Compute something small, so that the first request does not pay for it; torch thread."""

    def prepare(self, request: Any) -> Sequence[Item]:
        """Turn a request into items; CPU pool. Raises InvalidInput."""

    def finish(self, request: Any, items: Sequence[Item], results: Sequence[Any]) -> Any:
        """Turn the results of all items into a list with one result for each input; event loop, cheap."""


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """One row of the table: a task, its module, the endpoint that a lost client is sent to, what it reads and gives.

    `reads` and `gives` name kinds of `protocols.instances`; `media` tells that requests may hold images or sound,
    `adapters` that low-rank adapters can stand beside the model, `compiles` that `engine.compile` applies.
    """

    name: str
    module: str
    endpoint: str
    reads: str
    gives: str
    media: bool = False
    adapters: bool = False
    compiles: bool = False


PREDICT = "/v1/models/{name}:predict"
TASKS = (
    TaskInfo("chat", "generation", "/v1/chat/completions", "prompt", "completion", adapters=True, compiles=True),
    TaskInfo("text-generation", "generation", "/v1/completions", "prompt", "completion", adapters=True, compiles=True),
    TaskInfo("text2text-generation", "text2text", "/v1/completions", "prompt", "completion"),
    TaskInfo("summarization", "text2text", "/v1/completions", "prompt", "completion"),
    TaskInfo("translation", "text2text", "/v1/completions", "prompt", "completion"),
    TaskInfo("image-text-to-text", "visual_chat", "/v1/chat/completions", "image_prompt", "completion", media=True),
    TaskInfo("image-to-text", "captioning", "/v1/chat/completions", "image_prompt", "completion", media=True),
    TaskInfo("text-classification", "classification", "/v1/classify", "text_or_pair", "labels", compiles=True),
    TaskInfo("zero-shot-classification", "zero_shot", "/v1/classify", "candidates", "labels", compiles=True),
    TaskInfo("token-classification", "token_classification", "/v1/classify", "text", "entities", compiles=True),
    TaskInfo("fill-mask", "fill_mask", PREDICT, "masked", "fills", compiles=True),
    TaskInfo("question-answering", "question_answering", PREDICT, "question", "answers", compiles=True),
    TaskInfo("rerank", "rerank", "/v1/rerank", "query", "ranking", compiles=True),
    TaskInfo("automatic-speech-recognition", "speech", "/v1/audio/transcriptions", "audio", "transcript", media=True),
    TaskInfo("audio-classification", "audio_classification", PREDICT, "audio", "labels", media=True),
    TaskInfo("feature-extraction", "embedding", "/v1/embeddings", "text", "vector", compiles=True),
    TaskInfo("text-to-image", "text_to_image", "/v1/images/generations", "picture_prompt", "picture"),
    TaskInfo("image-classification", "image_classification", "/v1/classify", "image", "labels", media=True),
    TaskInfo("zero-shot-image-classification", "zero_shot_images", PREDICT, "image+candidates", "labels", media=True),
    TaskInfo("object-detection", "object_detection", PREDICT, "image", "boxes", media=True),
    TaskInfo("image-segmentation", "image_segmentation", PREDICT, "image", "masks", media=True),
)
NAMES = ", ".join(info.name for info in TASKS)


def resolve_task(requested: str, folder: ModelFolder) -> TaskInfo:
    """Return the task that was asked for, or the one that the model is made for. Raises UnusableModel."""
    if requested != "auto":
        return find_task(requested)
    if (folder.path / "modules.json").is_file():
        return find_task("feature-extraction")
    card = folder.card
    if card.task is None or all(info.name != card.task for info in TASKS):
        made_for = f"is made for {card.task}, which" if card.task else "tells no task that"
        raise UnusableModel(
            f"the architecture {card.architecture or '(none in config.json)'} {made_for} this runtime does not serve",
            hint=f"use another model, or set model.task to one of {NAMES} if the model can do it",
        )
    return find_task(card.task)


def find_task(name: str) -> TaskInfo:
    """Return a task by name. Raises UnusableModel when there is none."""
    for info in TASKS:
        if info.name == name:
            return info
    raise UnusableModel(
        f"model.task {name!r} is not a task of this runtime",
        hint=f"set it to auto or to one of {NAMES}",
    )


def load_task(info: TaskInfo, context: TaskContext) -> LoadedTask:
    """Import the task's module and load its model; torch thread. Raises RuntimeFault."""
    module = import_module(f"modelservice_runtime.tasks.{info.module}")
    load = cast(Callable[[TaskContext], LoadedTask], module.load)
    return load(context)
