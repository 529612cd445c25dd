"""Emptying caches: the Jobs for it are made while a ModelService is there, and let go when it and its pods are gone."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from modelservice_operator.api.kinds import JOB
from modelservice_operator.controller.intake import Intake
from modelservice_operator.controller.keys import Key
from modelservice_operator.controller.observe import Observation, is_preflight
from modelservice_operator.domain import Facts
from modelservice_operator.domain.cache import uses_cache
from modelservice_operator.domain.collector import collectors, is_collector, is_outdated, is_waiting, let_go
from modelservice_operator.engine.cache import Cache, ObjectId
from modelservice_operator.kube.api import Body, KubeApi
from modelservice_operator.kube.errors import NotFound
from modelservice_operator.kube.resources import POD, child_resource
from modelservice_operator.render import Renderer

_JOB = child_resource(JOB)


class CacheCollectors:
    """Keeps the Jobs of a ModelService as they should be. `fence` raises unless this process may write."""

    def __init__(self, api: KubeApi, cache: Cache, intake: Intake, fence: Callable[[], None]) -> None:
        self._api = api
        self._cache = cache
        self._intake = intake
        self._fence = fence
        self._renderer = Renderer()

    async def prepare(self, seen: Observation, facts: Facts) -> None:
        """Make the Jobs that are missing and remove those that are of no use. Raises ApiError."""
        service = seen.service
        if service is None or seen.error is not None:
            return
        known = {name: body for (kind, name), body in seen.children.items() if kind == JOB.kind and is_collector(body)}
        for body in known.values():
            if is_outdated(body, service):
                await self._remove(seen.key, body["metadata"])
        if not uses_cache(service):
            return
        nodes = {node for pod in seen.pods if (node := pod["spec"].get("nodeName"))}
        for child in collectors(service, seen.profile, replace(facts, claim=seen.claim), nodes):
            if child.name not in known:
                await self._apply(self._renderer.render(child.template, child.values))

    async def release(self, key: Key) -> None:
        """Let the Jobs of a ModelService that is gone begin, once its pods are gone too. Raises ApiError."""
        waiting = list(self._waiting(key))
        if not waiting or self._has_pods(key):
            return
        for body in waiting:
            await self._apply(let_go(body))

    def _waiting(self, key: Key) -> Iterator[Body]:
        jobs = (record.body for record in self._cache.of_parent(key) if record.id.kind == JOB.kind)
        yield from (job for job in jobs if is_collector(job) and is_waiting(job))

    def _has_pods(self, key: Key) -> bool:
        pods = (record for record in self._cache.of_parent(key) if record.id.kind == POD.kind)
        return any(not is_preflight(record.body) for record in pods)

    async def _apply(self, manifest: dict[str, Any]) -> None:
        self._fence()
        self._intake.take(_JOB, await self._api.apply(_JOB, manifest))

    async def _remove(self, key: Key, metadata: Mapping[str, Any]) -> None:
        """Delete a Job, and forget it before its event comes, or it could be let go meanwhile."""
        name, uid = metadata["name"], metadata["uid"]
        self._fence()
        with suppress(NotFound):
            await self._api.delete(_JOB, key.namespace, name, uid)
        self._cache.delete(ObjectId(JOB.kind, key.namespace, name), uid, int(metadata["resourceVersion"]))
