"""Starting the engine: from settings to a warm task, on the torch thread.

Nothing here imports torch at the top: the HTTP servers are up before. The first statement that needs it, `import
torch`, runs on the torch thread and stays there.
"""

import asyncio
import logging
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from modelservice_runtime.config import Settings
from modelservice_runtime.engine.intake import Intake, QueueLimits
from modelservice_runtime.engine.lanes import Lanes
from modelservice_runtime.engine.resources import read_resources
from modelservice_runtime.engine.scheduling import Outbox
from modelservice_runtime.engine.worker import Steps
from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.folder import open_folder
from modelservice_runtime.server.lifecycle import STARTING, State
from modelservice_runtime.server.service import Service
from modelservice_runtime.tasks.adapting import AdaptedTask
from modelservice_runtime.tasks.base import TaskContext, TaskInfo, load_task, resolve_task
from modelservice_runtime.tasks.deferred_compiler import defer_compiler, may_defer
from modelservice_runtime.tasks.explaining import Explainable, ExplainedTask
from modelservice_runtime.tasks.unneeded import hide_unneeded

logger = logging.getLogger(__name__)

QUEUED_TOKENS_PER_REQUEST = 2048
EXPLANATIONS_WAITING = 64
HEAVY = ("torch", "transformers")


def prepare_engine(service: Service, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> Steps:
    """Check the folder, import torch, load the model and warm it up. Raises RuntimeFault."""
    settings, lifecycle, metrics = service.settings, service.lifecycle, service.metrics
    folder = open_folder(Path(settings.model.path))
    service.folder = folder
    info = resolve_task(settings.model.task, folder)
    metrics.task = info.name
    service.info = info
    _refuse_adapters(settings, info)
    _refuse_compiling(settings, info)
    _refuse_backend(settings, info)
    hide_unneeded(info, folder, settings)
    if may_defer(folder, settings):
        defer_compiler()
    for module in HEAVY:
        import_module(module)
    lifecycle.enter(State.LOADING)
    context = TaskContext(
        task=info.name,
        folder=folder,
        settings=settings,
        resources=read_resources(),
        intake=Intake(_queue_limits(settings), wake),
        outbox=Outbox(loop),
        meter=metrics,
    )
    task = load_task(info, context)
    quantization = import_module("modelservice_runtime.models.quantization")
    service.quantization = quantization.told_quantization(settings.engine.quantization, task.facts.device)
    lifecycle.enter(State.WARMING)
    task.warm_up()
    steps: Steps = task.scheduler
    if isinstance(task, Explainable):
        patient = Intake(_patient_limits(settings), wake)
        service.explained = ExplainedTask(task, patient, context.outbox, metrics)
        steps = Lanes(task.scheduler, service.explained.scheduler)
    service.adapted = {name: AdaptedTask(task, name) for name in settings.adapters}
    service.task = task
    return steps


def report_ready(service: Service) -> None:
    """Tell logs and metrics what is served and how long each stage of the start took."""
    task, metrics, lifecycle = service.task, service.metrics, service.lifecycle
    if task is None:
        return
    facts = task.facts
    metrics.model_info.info(
        {
            "model": metrics.model,
            "task": metrics.task,
            "dtype": facts.dtype,
            "device": facts.device,
            "quantization": service.quantization,
            "attention": facts.attention,
            "context": str(facts.context),
            "revision": (service.folder.card.resolved_revision if service.folder else None) or "",
        }
    )
    if metrics.live is not None:
        metrics.live.cache_tokens = facts.kv_budget_tokens
        if facts.device.startswith("cuda"):
            metrics.live.gpu_memory = import_module("modelservice_runtime.models.device").read_memory
    stages = {str(state): round(lifecycle.seconds[state], 3) for state in STARTING if state in lifecycle.seconds}
    for stage, seconds in stages.items():
        metrics.load_seconds.labels(metrics.model, stage).set(seconds)
    metrics.ready.labels(metrics.model).set(1)
    logger.info(
        "ready",
        extra={
            "model": metrics.model,
            "task": metrics.task,
            "parameters": facts.parameters,
            "device": facts.device,
            "dtype": facts.dtype,
            "context": facts.context,
            "kv_budget_tokens": facts.kv_budget_tokens,
            "stages": stages,
            "total_seconds": round(lifecycle.total_seconds or 0.0, 3),
        },
    )


def _refuse_adapters(settings: Settings, info: TaskInfo) -> None:
    """Raise UnusableModel when there are adapters and the task takes none."""
    if settings.adapters and not info.adapters:
        raise UnusableModel(
            f"model.adapters: models for {info.name} take no adapters in this runtime",
            hint="leave model.adapters out, and merge the adapter into the model's weights instead",
        )


def _refuse_compiling(settings: Settings, info: TaskInfo) -> None:
    """Raise UnusableModel when the model should be compiled and cannot be, for its task or its adapters."""
    if settings.engine.compile and (settings.adapters or not info.compiles):
        who = "models with adapters" if settings.adapters else f"models for {info.name}"
        raise UnusableModel(
            f"engine.compile: {who} are not compiled in this runtime", hint="set engine.compile to false"
        )


def _refuse_backend(settings: Settings, info: TaskInfo) -> None:
    """Raise UnusableModel when transformers should batch what only this runtime can."""
    if settings.engine.backend != "slots" and (settings.adapters or not info.adapters):
        who = "models with adapters" if settings.adapters else f"models for {info.name}"
        raise UnusableModel(
            f"engine.backend {settings.engine.backend!r} cannot batch {who}", hint="set engine.backend to slots"
        )


def _patient_limits(settings: Settings) -> QueueLimits:
    """Few explanations may wait: each takes as long as many answers."""
    waiting = min(EXPLANATIONS_WAITING, settings.limits.max_queue)
    return QueueLimits(waiting, waiting * QUEUED_TOKENS_PER_REQUEST, settings.limits.queue_seconds)


def _queue_limits(settings: Settings) -> QueueLimits:
    limits = settings.limits
    return QueueLimits(limits.max_queue, limits.max_queue * QUEUED_TOKENS_PER_REQUEST, limits.queue_seconds)
