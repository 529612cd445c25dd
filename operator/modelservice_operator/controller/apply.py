"""Carrying a plan out: the only place that writes children.

What others depend on goes first (the ServiceAccount before the Deployment whose pods have it), the rest
in parallel. The failure of one child does not keep the others from being applied. Every write is fenced: it is not
sent unless this process leads at that moment.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelservice_operator.api.kinds import BY_KIND, SERVICE_ACCOUNT
from modelservice_operator.controller.intake import Intake
from modelservice_operator.domain import Apply, Delete
from modelservice_operator.kube.api import Body, KubeApi
from modelservice_operator.kube.errors import ApiError, NotFound
from modelservice_operator.kube.resources import child_resource

FIRST = frozenset({SERVICE_ACCOUNT.kind})


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one action: the object as stored, or the error; neither for a deletion that worked."""

    action: Apply | Delete
    answer: Body | None = None
    error: ApiError | None = None


class NotLeading(Exception):  # noqa: N818
    """This process lost the leadership before a write was sent."""


class Applier:
    """Applies and deletes children, and reads those that the watch cannot show."""

    def __init__(self, api: KubeApi, intake: Intake, may_write: Callable[[], bool]) -> None:
        self._api = api
        self._intake = intake
        self._may_write = may_write

    def fence(self) -> None:
        """Raise NotLeading unless this process may write now."""
        if not self._may_write():
            raise NotLeading

    async def find_unseen(self, missing: Sequence[Apply]) -> list[tuple[str, Body]]:
        """Read the objects that have the names of missing children, with their kinds.

        The watch shows only what carries our label. An object of that name without it may belong to someone else, and
        applying would take it over.
        """
        found = await asyncio.gather(*(self._find(action) for action in missing))
        return [(action.manifest["kind"], body) for action, body in zip(missing, found, strict=True) if body]

    async def carry_out(self, actions: Sequence[Apply | Delete]) -> list[Result]:
        """Carry the actions out. Raises NotLeading when the leadership was lost before one of them was sent."""
        first = [a for a in actions if isinstance(a, Apply) and a.manifest["kind"] in FIRST]
        rest = [a for a in actions if a not in first]
        results: list[Result] = []
        for wave in (first, rest):
            self.fence()
            results += await asyncio.gather(*(self._carry_out(action) for action in wave))
        return results

    async def _find(self, action: Apply) -> Body | None:
        metadata = action.manifest["metadata"]
        resource = child_resource(BY_KIND[action.manifest["kind"]])
        try:
            return await self._api.get(resource, metadata["namespace"], metadata["name"])
        except NotFound:
            return None

    async def _carry_out(self, action: Apply | Delete) -> Result:
        try:
            if isinstance(action, Apply):
                return Result(action, answer=await self._apply(action))
            resource = child_resource(BY_KIND[action.kind])
            await self._api.delete(resource, action.namespace, action.name, action.uid)
        except NotFound as error:
            return Result(action, error=error if isinstance(action, Apply) else None)
        except ApiError as error:
            return Result(action, error=error)
        return Result(action)

    async def _apply(self, action: Apply) -> Body:
        resource = child_resource(BY_KIND[action.manifest["kind"]])
        answer = await self._api.apply(resource, action.manifest)
        self._intake.take(resource, answer)
        return answer
