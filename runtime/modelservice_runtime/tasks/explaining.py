"""What a task may offer beside its answers: why it gave them.

A loaded task that is also `Explainable` gets a second, patient scheduler (see `engine.lanes`). Everything here is free
of torch: the server reads it while the model is not loaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from modelservice_runtime.engine.intake import Intake
from modelservice_runtime.engine.piecewise_scheduler import PiecewiseScheduler, Work
from modelservice_runtime.engine.scheduling import Meter, Outbox, Scheduler
from modelservice_runtime.tasks.base import LoadedTask
from modelservice_runtime.tasks.inputs import InvalidInput, Item


@dataclass(frozen=True, slots=True)
class ExplainOptions:
    """How to explain; `target` None is the predicted label, `baseline` None the task's usual one."""

    method: str = "integrated_gradients"
    target: str | None = None
    baseline: str | None = None
    steps: int = 32


@dataclass(frozen=True, slots=True)
class ExplainRequest:
    """The inputs of a task's request, and how to explain them."""

    request: Any
    options: ExplainOptions


@dataclass(frozen=True, slots=True)
class TokenShare:
    """A piece of a text, in characters, and what it added to the answer."""

    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class HeatMap:
    """What each part of a picture added: sums over the cells of a grid, and all of it as a PNG to lay over."""

    grid: Sequence[Sequence[float]]
    png: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why `label` got its probability `score`.

    Shares are in log-odds of the label, so that they add up; attention has no unit. `baseline_score` is the label's
    probability for the input that says nothing, `delta` what the shares miss of the difference. `place` is the stretch
    of the text whose label is explained, where a text has many.
    """

    label: str
    score: float
    method: str
    baseline: str
    baseline_score: float
    delta: float | None = None
    place: tuple[int, int] | None = None
    text: Sequence[TokenShare] | None = None
    image: HeatMap | None = None


@runtime_checkable
class Explainable(Protocol):
    """A loaded task that can tell why."""

    def prepare_explanation(self, request: Any, options: ExplainOptions) -> Sequence[Item]:
        """Turn a request into items, one for each input; CPU pool. Raises InvalidInput."""

    def explain(self, value: Any) -> Work:
        """Compute the `Explanation` of an item's value, yielding between pieces; torch thread."""


class _ExplainableTask(Explainable, LoadedTask, Protocol):
    """Both at once."""


class ExplainedTask:
    """Implements `LoadedTask` for the explanations of another task."""

    def __init__(self, task: _ExplainableTask, intake: Intake, outbox: Outbox, meter: Meter) -> None:
        from modelservice_runtime.models.device import is_fatal  # noqa: PLC0415 - imports torch

        self.facts = task.facts
        self.scheduler: Scheduler = PiecewiseScheduler(task.explain, is_fatal, intake, outbox, meter)
        self._task = task

    def warm_up(self) -> None:
        """Explanations are rare: the first one pays for itself."""

    def prepare(self, request: ExplainRequest) -> Sequence[Item]:
        """Turn a request into items."""
        return self._task.prepare_explanation(request.request, request.options)

    def finish(
        self, request: ExplainRequest, items: Sequence[Item], results: Sequence[Explanation]
    ) -> list[Explanation]:
        """Return the explanations as they are."""
        return list(results)


def choose_method(options: ExplainOptions, methods: Sequence[str]) -> str:
    """Return the method that was asked for. Raises InvalidInput when this model cannot be explained that way."""
    if options.method not in methods:
        raise InvalidInput("method", f"this model is explained by {', '.join(methods)}, not by {options.method}")
    return options.method


def choose_baseline(options: ExplainOptions, baselines: Sequence[str]) -> str:
    """Return the baseline that was asked for, or the usual one, the first. Raises InvalidInput."""
    wanted = options.baseline or baselines[0]
    if wanted not in baselines:
        raise InvalidInput("baseline", f"this model is compared with {', '.join(baselines)}, not with {wanted[:40]!r}")
    return wanted


def choose_target(options: ExplainOptions, labels: Mapping[str, int]) -> int | None:
    """Return the index of the label that was asked for, None for the predicted one. Raises InvalidInput."""
    if options.target is None:
        return None
    if options.target not in labels:
        known = ", ".join(list(labels)[:20])
        raise InvalidInput("target", f"this model knows no such label; it knows {known}")
    return labels[options.target]
