"""The cluster that is measured on: its people, its witness, the operators that run, and what they use over time."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from modelservice_operator.kube.client import KubernetesApi, Login
from modelservice_operator.kube.errors import NotFound
from modelservice_operator.kube.resources import Resource
from tests.bench.operator.sightings import Sightings, open_session
from tests.bench.operator.subject import Controller, Subject, Use, make_controller, merge_tick, use_of
from tests.cluster import Cluster
from tests.support.account import USER, log_in
from tests.support.audit import Audit
from tests.support.polling import until
from tests.support.team import NAMESPACE

TEAM = "bench"
CLIENTS = 16
"""Requests of the load that are under way at once."""
SAMPLE_SECONDS = 0.5
SILENCE = 6.0
"""Seconds without a request after which an operator counts as done."""


@dataclass
class World:
    """One namespace of one cluster."""

    cluster: Cluster
    subject: Subject
    folder: Path
    api: KubernetesApi
    session: aiohttp.ClientSession
    sightings: Sightings
    audit: Audit
    running: list[Controller] = field(default_factory=list)
    samples: list[tuple[str, Use]] = field(default_factory=list)
    phase: str = "start"
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def leader(self) -> Controller:
        """The operator that works: the one started last is its standby only during failover."""
        return self.running[-1]

    def start(self) -> Controller:
        """Start an operator of its own name, with a login of its own."""
        name = f"operator-{next(self._numbers)}"
        login = log_in(self.cluster, self.folder / f"{name}.kubeconfig")
        controller = make_controller(self.subject, login, self.folder, name)
        controller.start()
        self.running.append(controller)
        return controller

    async def create(self, name: str, **spec: Any) -> str:
        """Create an object; return its uid."""
        body = await self.api.create(self.subject.owner, self.subject.make(TEAM, name, **spec), deadline=60)
        return str(body["metadata"]["uid"])

    async def remove(self, resource: Resource, name: str) -> str:
        """Delete an object; return the uid that it had."""
        uid, _ = self.sightings.current.get((resource.kind, name), ("", 0.0))
        if not uid:
            uid = (await self.api.get(resource, TEAM, name))["metadata"]["uid"]
        await self.api.delete(resource, TEAM, name, uid, deadline=60)
        return uid

    async def discard(self, name: str) -> None:
        """Delete an object of the kind that is measured."""
        await self.remove(self.subject.owner, name)

    async def strip(self, resource: Resource, name: str) -> None:
        """Remove every label of a child, as a careless person would."""
        await self.patch(resource, name, {"metadata": {"labels": None}})

    async def tick(self, name: str, number: int) -> bool:
        """Update an object so that its operator has something to do; return whether the API server did it."""
        try:
            await self.patch(self.subject.owner, name, merge_tick(self.subject.hot, number))
        except aiohttp.ClientError:
            return False
        return True

    async def patch(self, resource: Resource, name: str, body: Any) -> None:
        """Merge-patch an object."""
        headers = {"Content-Type": "application/merge-patch+json"}
        async with self.session.patch(resource.path(TEAM, name), data=json.dumps(body), headers=headers) as answer:
            if answer.status == 404:
                raise NotFound(404, f"{resource.kind} {name}")
            answer.raise_for_status()

    async def silence(self, seconds: float = 120.0) -> float:
        """Wait until the operator has made no request for a while; return when its last one was answered.

        Raises TimeoutError.
        """
        fresh, last = Audit(self.audit.path, self.audit.user).mark(), [time.monotonic()]

        def silent() -> bool:
            if fresh.requests():
                last[0] = time.monotonic()
            fresh.mark()
            return time.monotonic() - last[0] > SILENCE

        await until(silent, seconds, pause=0.25)
        return last[0]

    async def sample(self) -> None:
        """Note for ever what the newest operator uses."""
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            try:
                self.samples.append((self.phase, use_of(self.leader.pid)))
            except (psutil.Error, FileNotFoundError, IndexError, KeyError):
                continue


async def at_once(work: Iterable[Any], limit: int = CLIENTS) -> list[Any]:
    """Await all, so many at a time, in order of their results."""
    gate = asyncio.Semaphore(limit)

    async def one(task: Any) -> Any:
        async with gate:
            return await task

    return await asyncio.gather(*map(one, work))


@asynccontextmanager
async def opened(
    cluster: Cluster, subject: Subject, folder: Path, extra: Iterable[Resource] = ()
) -> AsyncIterator[World]:
    """A world for a block; its operators end with it."""
    login = await Login.load(cluster.kubeconfig, {})
    session = open_session(await login.connection())
    api = KubernetesApi(login, agent="team")
    await api.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEAM}})
    sightings = Sightings(session, subject, TEAM)
    await sightings.open(tuple(extra))
    world = World(cluster, subject, folder, api, session, sightings, Audit(cluster.audit_log, USER).mark())
    sampler = asyncio.create_task(world.sample())
    try:
        yield world
    finally:
        sampler.cancel()
        for controller in world.running:
            controller.close()
        await sightings.close()
        await session.close()
        await api.close()
        login.close()
