"""The measurements, in the order in which one is made after the other."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from modelservice_operator.kube.resources import BY_KIND, Resource
from tests.bench.operator.figures import Figure, figure, percentiles
from tests.bench.operator.subject import Controller, Ours, use_of
from tests.bench.operator.world import CLIENTS, World, at_once
from tests.support.audit import WRITES, Event, is_success, strangers
from tests.support.polling import until
from tests.support.team import EVERYTHING

FULL = ("ServiceAccount", "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "ServiceMonitor")
"""The kinds of children of a service with every block, whose repair is measured kind by kind."""
HOT_PAUSE = 1 / 50
HOT_STANDBY_SECONDS = 2.5
"""How long a standby waits beside the leader before that one ends."""
TELL_SECONDS = 5.0
STARTING = 90.0
"""Seconds in which a started operator has to have done what it does first."""

Step = Callable[[], Awaitable[list[Figure]]]


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    count: int
    singles: int
    idle_seconds: float
    repeats: int
    drift: int
    hot_seconds: float

    @staticmethod
    def of(count: int, quick: bool) -> "Sizes":
        """A fifth of everything when it is quick."""
        drift = min(500, count // 2)
        return Sizes(count, 8, 20.0, 1, drift, 10.0) if quick else Sizes(count, 20, 60.0, 3, drift, 30.0)


@dataclass
class Curve:
    """Seconds since the start of a burst at which each object got somewhere."""

    created: list[float] = field(default_factory=list)
    children: list[float] = field(default_factory=list)
    ready: list[float] = field(default_factory=list)


class Bench:
    """The steps on one world."""

    def __init__(self, world: World, sizes: Sizes) -> None:
        self._world = world
        self._sizes = sizes
        self.curve = Curve()

    def steps(self) -> Sequence[tuple[str, Step]]:
        """What is measured; what only our operator can tell is left out for another."""
        common: list[tuple[str, Step]] = [
            ("alone", self.alone),
            ("writes", self.writes_alone),
            ("burst", self.burst),
            ("rest", self.rest),
            ("beside", self.beside),
            ("hot", self.hot),
            ("drift", self.drift),
            ("restart", self.restart),
        ]
        ours: list[tuple[str, Step]] = [("repair", self.repair), ("failover", self.failover)]
        return [*common, *ours] if self._world.subject.is_ours else common

    async def alone(self) -> list[Figure]:
        """One object after the other, with nothing else there."""
        empty = use_of(self._world.leader.pid)
        return [
            self._figure("memory without any service", empty.resident, "MiB"),
            *await self._singles("alone", with_ready=True),
        ]

    async def beside(self) -> list[Figure]:
        """One object after the other, with the others at rest."""
        return await self._singles("the others at rest")

    async def writes_alone(self) -> list[Figure]:
        """Requests of the operator for objects that are created one at a time, until nothing happens any more."""
        names = [f"counted-{index}" for index in range(3)]
        self._world.audit.mark()
        for name in names:
            await self._world.sightings.ready(await self._world.create(name))
            await self._world.silence()
        events = self._world.audit.requests()
        for name in names:
            await self._world.discard(name)
        await self._world.silence()
        return self._requests("of a service created alone", events, len(names))

    async def burst(self) -> list[Figure]:
        """Everything at once."""
        world, count = self._world, self._sizes.count
        world.audit.mark()
        before, since = use_of(world.leader.pid), time.monotonic()
        asked: list[float] = []

        async def create(index: int) -> str:
            asked.append(time.monotonic())
            uid = await world.create(f"many-{index}")
            self.curve.created.append(time.monotonic() - since)
            return uid

        telling = asyncio.create_task(self._tell(since))
        uids = await at_once(create(index) for index in range(count))
        complete = [await world.sightings.complete(uid, 600) for uid in uids]
        ready = [await world.sightings.ready(uid, 600) for uid in uids]
        after = use_of(world.leader.pid)
        telling.cancel()
        self.curve.children, self.curve.ready = [t - since for t in complete], [t - since for t in ready]
        last = await world.silence(300)
        own_children = [at - start for at, start in zip(complete, asked, strict=True)]
        own_ready = [at - start for at, start in zip(ready, asked, strict=True)]
        return [
            self._figure("burst: all created", max(self.curve.created), "s"),
            self._figure("burst: all children exist", max(self.curve.children), "s"),
            self._figure("burst: all Ready", max(self.curve.ready), "s"),
            self._figure("burst: until the last request", last - since, "s"),
            *percentiles("burst, each from its request to its children", own_children, "s", count, 50, 95, 99),
            *percentiles("burst, each from its request to Ready", own_ready, "s", count, 50, 95, 99),
            self._figure("burst: CPU of the operator", after.cpu - before.cpu, "s"),
            self._figure(f"burst: highest memory, {count} services", use_of(world.leader.pid).highest, "MiB"),
            *self._requests("of a service in the burst", world.audit.requests(), count),
        ]

    async def rest(self) -> list[Figure]:
        """Nothing happens."""
        world, seconds = self._world, self._sizes.idle_seconds
        world.audit.mark()
        before = use_of(world.leader.pid)
        await asyncio.sleep(seconds)
        after, events = use_of(world.leader.pid), world.audit.requests()
        share = (after.cpu - before.cpu) / (after.at - before.at)
        return [
            self._figure("at rest: writes", len(_writes(events)), "writes"),
            self._figure("at rest: reads", len(events) - len(_writes(events)), "reads"),
            self._figure("at rest: CPU", share * 100, "% of a core"),
            self._figure(f"at rest: memory, {self._sizes.count} services", after.resident, "MiB"),
        ]

    async def hot(self) -> list[Figure]:
        """One object is updated 50 times a second; children of calm ones are deleted meanwhile."""
        world = self._world
        world.audit.mark()
        stop = asyncio.Event()
        updating = asyncio.create_task(self._heat("many-0", stop))
        took = []
        end, number = time.monotonic() + self._sizes.hot_seconds, 0
        while time.monotonic() < end:
            number += 1
            resource = world.subject.children[number % len(world.subject.children)]
            took.append(await self._delete(resource, f"many-{1 + number % (self._sizes.count - 1)}"))
            await asyncio.sleep(0.1)
        stop.set()
        updates = await updating
        written = [e for e in _writes(world.audit.requests()) if e["objectRef"].get("name") == "many-0"]
        await world.silence()
        return [
            self._figure("hot object: updates", updates / self._sizes.hot_seconds, "a second"),
            self._figure(
                "hot object: writes of the operator for each update", len(written) / max(1, updates), "writes"
            ),
            *percentiles("beside a hot object, deleted child back", took, "ms", self._sizes.count, 50, 99),
        ]

    async def drift(self) -> list[Figure]:
        """Many children are deleted at once, of every kind in turn."""
        kinds = self._world.subject.children
        since = time.monotonic()
        targets = [(kinds[index % len(kinds)], f"many-{index}") for index in range(self._sizes.drift)]
        took = await at_once((self._delete(*target) for target in targets), limit=64)
        name = f"{len(targets)} children deleted"
        return [
            self._figure(f"{name}: all back", time.monotonic() - since, "s"),
            *percentiles(f"{name}: each back", took, "s", self._sizes.count, 50, 95),
        ]

    async def repair(self) -> list[Figure]:
        """One child after the other is deleted, or loses its labels, of every kind there is."""
        world, resources = self._world, [BY_KIND[kind] for kind in FULL]
        names = [f"full-{index}" for index in range(5)]
        for name in names:
            await world.create(name, replicas=None, **EVERYTHING)
        for name in names:
            for each in resources:
                await world.sightings.back((each.kind, name), "")
        await world.silence()
        deleted, stripped = [], []
        for resource in resources:
            for name in names:
                deleted.append(await self._delete(resource, name))
                await asyncio.sleep(0.2)
            stripped.append(await self._strip(resource, names[0]))
        count = self._sizes.count
        return [
            *percentiles("deleted child back, any kind", deleted, "ms", count, 50, 95),
            *percentiles("stripped labels back, any kind", stripped, "ms", count, 50, 95),
        ]

    async def restart(self) -> list[Figure]:
        """The operator ends and starts over everything that exists.

        Its last request is one of the complete lists that follow 20 seconds later, so ours is asked when it has looked
        at every service.
        """
        world = self._world
        await world.silence()
        world.leader.terminate()
        world.audit.mark()
        since = time.monotonic()
        controller = world.start()
        ready = time.monotonic() - since
        looked: list[Figure] = []
        if isinstance(controller, Ours):
            await until(lambda: controller.has_looked_at(self._sizes.count), STARTING, pause=0.1)
            looked = [self._figure("restart: every service looked at", time.monotonic() - since, "s")]
        last = await world.silence(STARTING) - since
        events, use = world.audit.requests(), use_of(controller.pid)
        return [
            self._figure("restart: ready", ready, "s"),
            *looked,
            self._figure("restart: until the last request", last, "s"),
            self._figure("restart: writes", len(_writes(events)), "writes"),
            self._figure("restart: reads", len(events) - len(_writes(events)), "reads"),
            self._figure(f"restart: memory, {self._sizes.count} services", use.resident, "MiB"),
            self._figure(f"restart: highest memory, {self._sizes.count} services", use.highest, "MiB"),
        ]

    async def failover(self) -> list[Figure]:
        """The leader ends, without warning or as asked, and its standby takes over."""
        world = self._world
        world.audit.mark()
        killed, ended = [], []
        for turn in range(self._sizes.repeats):
            killed.append(await self._hand_over(lambda leader: leader.kill(), f"many-{2 * turn}"))
            ended.append(await self._hand_over(lambda leader: leader.terminate(), f"many-{2 * turn + 1}"))
        return [
            *self._hand_overs("failover, leader killed", killed),
            *self._hand_overs("failover, leader ended gracefully", ended),
            self._figure("failover: writes", len(world.audit.writes()), "writes"),
            self._figure("failover: writes by a replica that did not lead", len(strangers(world.audit)), "writes"),
        ]

    async def _tell(self, since: float) -> None:
        """Print for ever how far a burst has come."""
        while True:
            await asyncio.sleep(TELL_SECONDS)
            children, ready = self._world.sightings.reached(since)
            reached = f"{len(self.curve.created)} created, {children} complete, {ready} Ready"
            print(f"  {time.monotonic() - since:.0f} s: {reached}", flush=True)

    async def _singles(self, when: str, with_ready: bool = False) -> list[Figure]:
        world, complete, ready = self._world, [], []
        for index in range(self._sizes.singles):
            name = f"single-{when.split(maxsplit=1)[0]}-{index}"
            since = time.monotonic()
            uid = await world.create(name)
            complete.append(await world.sightings.complete(uid) - since)
            ready.append(await world.sightings.ready(uid) - since)
            await world.discard(name)
            await asyncio.sleep(0.3)
        count = self._sizes.count
        figures = percentiles(f"apply to all children, {when}", complete, "ms", count, 50, 95, 99)
        return figures + (percentiles(f"apply to Ready, {when}", ready, "ms", count, 50, 95) if with_ready else [])

    async def _delete(self, resource: Resource, name: str) -> float:
        since = time.monotonic()
        uid = await self._world.remove(resource, name)
        return await self._world.sightings.back((resource.kind, name), uid) - since

    async def _strip(self, resource: Resource, name: str) -> float:
        """Remove a child's labels; return how long until all of them were back."""
        labels, child = self._world.sightings.labels, (resource.kind, name)
        before = dict(labels[child])
        since = time.monotonic()
        await self._world.strip(resource, name)
        await until(lambda: not labels[child] or time.monotonic() - since > 1, 10, pause=0.001)
        await until(lambda: before.items() <= labels[child].items(), 30, pause=0.001)
        return time.monotonic() - since

    async def _heat(self, name: str, stop: asyncio.Event) -> int:
        """Update an object 50 times a second, if the API server can, until told to stop; return how often it was."""
        under_way: set[asyncio.Task[bool]] = set()
        since, number, done = time.monotonic(), 0, 0
        while not stop.is_set() or under_way:
            number += 1
            if len(under_way) < CLIENTS and not stop.is_set():
                under_way.add(asyncio.create_task(self._world.tick(name, number)))
            await asyncio.sleep(max(0.001, since + number * HOT_PAUSE - time.monotonic()))
            ended = {task for task in under_way if task.done()}
            done += sum(task.result() for task in ended)
            under_way -= ended
        return done

    async def _hand_over(self, end: Callable[[Controller], object], name: str) -> tuple[float, float]:
        """End the leader beside a standby, and delete a child of `name`.

        Return how long until the standby leads, and how long until the child is back.
        """
        leader, standby = self._world.leader, self._world.start()
        assert isinstance(standby, Ours)
        await asyncio.sleep(HOT_STANDBY_SECONDS)
        since = time.monotonic()
        ending = asyncio.create_task(asyncio.to_thread(end, leader))
        repairing = asyncio.create_task(self._delete(self._world.subject.children[-1], name))
        await asyncio.to_thread(standby.wait, standby.leads, "the standby leads", 40)
        took = time.monotonic() - since
        await ending
        repaired = await repairing
        await self._world.silence()
        return took, repaired

    def _hand_overs(self, name: str, turns: Sequence[tuple[float, float]]) -> list[Figure]:
        leading, repaired = ([turn[index] for turn in turns] for index in (0, 1))
        return [
            self._figure(f"{name}: longest", max(leading), "s", leading),
            self._figure(f"{name}: longest until a child deleted then is back", max(repaired), "s", repaired),
        ]

    def _figure(self, name: str, value: float, unit: str, values: Sequence[float] = ()) -> Figure:
        return figure(name, value, unit, self._sizes.count, values)

    def _requests(self, of: str, events: Sequence[Event], count: int) -> list[Figure]:
        """Requests for each object: all writes, those beyond one for each child, and each verb apart."""
        verbs = Counter(_verb(event) for event in events)
        writes = len(_writes(events)) / count
        beyond = writes - len(self._world.subject.children)
        return [
            self._figure(f"writes {of}", writes, "writes"),
            self._figure(f"writes {of}, beyond its children", beyond, "writes"),
            *(self._figure(f"requests {of}: {verb}", n / count, "requests") for verb, n in sorted(verbs.items())),
        ]


def _writes(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if event["verb"] in WRITES and is_success(event)]


def _verb(event: Event) -> str:
    """Verb, and whether it was about a status or failed."""
    subresource = (event.get("objectRef") or {}).get("subresource", "")
    code = event.get("responseStatus", {}).get("code", 0)
    dry = " (dry run)" if "dryRun" in event.get("requestURI", "") else ""
    return f"{event['verb']}{' ' + subresource if subresource else ''}{dry}{'' if code < 400 else f' ({code})'}"
