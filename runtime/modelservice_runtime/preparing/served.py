"""A model as the server would serve it, driven from one thread and without HTTP.

The task, its scheduler and its runner are those of the server, so what is measured here is what clients will get: the
same dtype, the same batches, the same kernels.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from modelservice_runtime.config import Settings
from modelservice_runtime.engine.intake import Intake, QueueLimits
from modelservice_runtime.engine.resources import read_resources
from modelservice_runtime.engine.scheduling import Event, Failed, Outbox, Progress, Ticket
from modelservice_runtime.errors import EngineFault, UnusableModel
from modelservice_runtime.models.folder import ModelFolder
from modelservice_runtime.tasks.base import ModelFacts, TaskContext, TaskInfo, load_task
from modelservice_runtime.tasks.generation import Choice
from modelservice_runtime.tasks.inputs import InvalidInput

BOUNDLESS = QueueLimits(1 << 30, 1 << 60, 1e9)


@dataclass(frozen=True)
class Answers:
    """What a model said to each sample, and how long all took.

    `made` counts tokens where tokens are made (then `answers` are completions), inputs elsewhere; `unit` says which.
    """

    answers: list[Any]
    made: int
    unit: str
    seconds: float


class ServedModel:
    """A loaded task."""

    def __init__(self, info: TaskInfo, folder: ModelFolder, settings: Settings) -> None:
        begun = time.perf_counter()
        self._outbox = _Results()
        self._task = load_task(
            info,
            TaskContext(
                task=info.name,
                folder=folder,
                settings=settings,
                resources=read_resources(),
                intake=Intake(BOUNDLESS, _nothing),
                outbox=self._outbox,
                meter=_Silence(),
            ),
        )
        self._task.warm_up()
        self.load_seconds = time.perf_counter() - begun

    @property
    def facts(self) -> ModelFacts:
        """What the model turned out to be."""
        return self._task.facts

    def reads(self, request: Any) -> bool:
        """Tell whether a request is one that this model can take."""
        try:
            return bool(self._task.prepare(request))
        except InvalidInput:
            return False

    def answer(self, request: Any) -> Answers:
        """Answer a request as the server does. Raises UnusableModel when the model cannot take the samples."""
        begun = time.perf_counter()
        try:
            items = self._task.prepare(request)
        except InvalidInput as error:
            raise UnusableModel(
                f"--samples: {error.field}: {error}", hint="give samples that this model can read, by --samples"
            ) from None
        scheduler = self._task.scheduler
        tickets = [scheduler.submit(item.value, item.cost) for item in items]
        while len(self._outbox.values) < len(tickets):
            scheduler.step()
        computed = self._outbox.take(tickets)
        answers = list(self._task.finish(request, items, computed))
        seconds = time.perf_counter() - begun
        if isinstance(answers[0], Choice):
            return Answers(computed, sum(len(each.tokens) for each in computed), "tokens/s", seconds)
        return Answers(answers, len(items), "inputs/s", seconds)


class _Results(Outbox):
    """Keeps the last event of each ticket; there is no event loop to hand it to."""

    def __init__(self) -> None:
        loop = asyncio.new_event_loop()
        loop.close()
        super().__init__(loop)
        self.values: dict[int, Any] = {}

    def post(self, ticket: Ticket, event: Event) -> None:
        """Keep the result. Raises EngineFault when the model failed."""
        if isinstance(event, Failed):
            raise EngineFault(f"the model failed on a sample: {event.error}") from event.error
        if not isinstance(event, Progress):
            self.values[ticket.id] = event.value

    def flush(self) -> None:
        """Do nothing."""

    def take(self, tickets: list[Ticket]) -> list[Any]:
        """Return the results in the order of the tickets, and forget them."""
        return [self.values.pop(ticket.id) for ticket in tickets]


class _Silence:
    """Implements `Meter`: nothing is counted."""

    def __getattr__(self, name: str) -> Any:
        return _nothing


def _nothing(*_: Any) -> None:
    return None
