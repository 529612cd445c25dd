"""One adapter of a loaded model, as a task like any other: what differs is what its sequences begin with."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from modelservice_runtime.tasks.base import LoadedTask
from modelservice_runtime.tasks.inputs import Item


class AdaptedTask:
    """Implements `LoadedTask` over the task of the model; both share one scheduler."""

    def __init__(self, task: LoadedTask, name: str) -> None:
        self.facts = task.facts
        self.scheduler = task.scheduler
        self._task = task
        self._name = name

    def __getattr__(self, name: str) -> Any:
        """Offer whatever else the task of the model can do."""
        return getattr(self._task, name)

    def warm_up(self) -> None:
        """Do nothing: the model is warm."""

    def prepare(self, request: Any) -> Sequence[Item]:
        """Turn a request into items that use the adapter. Raises InvalidInput."""
        return [replace(item, value=replace(item.value, source=self._name)) for item in self._task.prepare(request)]

    def finish(self, request: Any, items: Sequence[Item], results: Sequence[Any]) -> Any:
        """Turn the results of all items into a list with one result for each input."""
        return self._task.finish(request, items, results)
