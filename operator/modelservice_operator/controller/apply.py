"""Carrying a plan out: the only place that writes children.

What others depend on goes first (the ServiceAccount before the Deployment whose pods have it), the rest
in parallel. The failure of one child does not keep the others from being applied. Every write is fenced: it is not
sent unless this process leads at that moment.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from modelservice_operator.api.kinds import BY_KIND, SERVICE_ACCOUNT
from modelservice_operator.controller.intake import Intake
from modelservice_operator.domain import Apply, Delete
from modelservice_operator.kube.api import Body, KubeApi
from modelservice_operator.kube.errors import ApiError, Conflict, NotFound
from modelservice_operator.kube.resources import child_resource

FIRST = frozenset({SERVICE_ACCOUNT.kind})


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one action: the object as stored, or the error; neither for a deletion that worked.

    `unseen` is the object that kept a missing child from being made, because it has its name already.
    """

    action: Apply | Delete
    answer: Body | None = None
    error: ApiError | None = None
    unseen: Body | None = None


class NotLeading(Exception):  # noqa: N818
    """This process lost the leadership before a write was sent."""


class Applier:
    """Applies and deletes children."""

    def __init__(self, api: KubeApi, intake: Intake, may_write: Callable[[], bool]) -> None:
        self._api = api
        self._intake = intake
        self._may_write = may_write

    def fence(self) -> None:
        """Raise NotLeading unless this process may write now."""
        if not self._may_write():
            raise NotLeading

    async def carry_out(self, actions: Sequence[Apply | Delete]) -> list[Result]:
        """Carry the actions out. Raises NotLeading when the leadership was lost before one of them was sent."""
        first = [a for a in actions if isinstance(a, Apply) and a.manifest["kind"] in FIRST]
        rest = [a for a in actions if a not in first]
        results: list[Result] = []
        for wave in (first, rest):
            self.fence()
            results += await asyncio.gather(*(self._carry_out(action) for action in wave))
        return results

    async def _carry_out(self, action: Apply | Delete) -> Result:
        resource = child_resource(BY_KIND[action.kind])
        try:
            if isinstance(action, Apply):
                return await (self._create(action) if action.reason == "Missing" else self._apply(action))
            await self._api.delete(resource, action.namespace, action.name, action.uid)
        except NotFound as error:
            return Result(action, error=error if isinstance(action, Apply) else None)
        except ApiError as error:
            return Result(action, error=error)
        return Result(action)

    async def _create(self, action: Apply) -> Result:
        """Apply a child that is not there as far as was seen, and read what has its name if something does.

        The watch shows only what carries our label. An object of that name without it may belong to someone else, and
        applying would take it over.
        """
        try:
            return await self._apply(action, only_new=True)
        except Conflict as error:
            with suppress(NotFound):
                resource = child_resource(BY_KIND[action.kind])
                return Result(action, error=error, unseen=await self._api.get(resource, action.namespace, action.name))
        return await self._apply(action)

    async def _apply(self, action: Apply, only_new: bool = False) -> Result:
        resource = child_resource(BY_KIND[action.kind])
        answer = await self._api.apply(resource, action.manifest, only_new=only_new)
        self._intake.take(resource, answer)
        return Result(action, answer=answer)
