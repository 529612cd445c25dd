"""The controller with everything around it in memory: an API server, a cache, a queue, events that tests deliver."""

from collections.abc import Mapping
from typing import Any

from modelservice_operator.controller.activity import RUNTIME, Activity, Signals
from modelservice_operator.controller.intake import Intake
from modelservice_operator.controller.keys import Key
from modelservice_operator.controller.ports import Ports
from modelservice_operator.controller.reconcile import Reconciler
from modelservice_operator.controller.reports import RuntimeReports
from modelservice_operator.controller.usage import Usage
from modelservice_operator.domain import Facts
from modelservice_operator.engine.backoff import Backoff
from modelservice_operator.engine.cache import Cache
from modelservice_operator.engine.queue import WorkQueue
from modelservice_operator.engine.resync import Resync
from modelservice_operator.engine.workers import Outcome
from modelservice_operator.kube.lister import Lister
from modelservice_operator.kube.resources import BY_KIND, MODEL_SERVICE, WATCHED
from modelservice_operator.observability.metrics import Metrics
from modelservice_operator.observability.scrape import Scraper
from tests.support.fake_kube import FakeKube
from tests.support.team import make_modelservice

NAMESPACE = "team"
KEY = Key(NAMESPACE, "chat")


class NoReports(RuntimeReports):
    """Pods that never answer."""

    def __init__(self) -> None:
        super().__init__(lambda key: None)

    def want(self, key: Key, uid: str, ip: str) -> None:
        return None


class GivenActivity(Activity):
    """What is known of the requests as the test says."""

    def __init__(self) -> None:
        super().__init__(lambda key: None, lambda: False, Scraper(), self._is_held)
        self.quiet: float | None = None
        self.forgotten: list[Key] = []

    async def _is_held(self, key: Key) -> bool:
        return False

    def follow(self, key: Key, seconds: float, pods: Mapping[str, str], signals: Signals = RUNTIME) -> float | None:
        self.signals = signals
        return self.quiet

    def forget(self, key: Key) -> None:
        self.forgotten.append(key)


class World:
    """`send` delivers an event as the watch would; `settle` reconciles until nothing is left to do."""

    def __init__(self, kube: FakeKube | None = None) -> None:
        self.kube = kube or FakeKube()
        self.cache = Cache()
        self.queue: WorkQueue[Key] = WorkQueue(Backoff(base=1000, floor=1000))
        self.leads = True
        self.facts = Facts(default_runtime_image="runtime:1", optional_kinds=frozenset({"ServiceMonitor"}))
        self.metrics = Metrics()
        self.usage = Usage(self.metrics, lambda: self.seconds)
        self.seconds = 0.0
        self.usage.lead(True)
        self.intake = Intake(self.cache, self.queue, lambda kind: None, self.usage)
        self.activity = GivenActivity()
        self.reconciler = Reconciler(
            self.kube,
            self.cache,
            self.intake,
            NoReports(),
            lambda: self.facts,
            lambda: self.leads,
            self.activity,
            Ports(self.cache, 20000, 3),
        )
        lister = Lister(self.kube, (), self.intake.record_of)
        self.resync = Resync(
            self.cache, lambda: [r.kind for r in WATCHED], lister.snapshot, self.intake.on_resync, self
        )

    def resynced(self, kind: str, corrections: int) -> None:
        return None

    def put(self, body: dict[str, Any], type_: str = "ADDED") -> dict[str, Any]:
        """Store an object as its owner would, and deliver the event."""
        resource = BY_KIND[body["kind"]]
        stored = self.kube.put(resource, body)
        self.intake.on_event(resource, type_, stored)
        return stored

    async def list_everything(self) -> None:
        """List every kind, as an operator does when it starts."""
        for resource in WATCHED:
            await self.resync.list_kind(resource.kind)

    def make(self, name: str = "chat", **spec: Any) -> dict[str, Any]:
        """A ModelService comes into being."""
        return self.put(make_modelservice(NAMESPACE, name, **spec))

    def remove(self, kind: str, name: str, tell: bool = True) -> None:
        """An object is deleted; with `tell` its event is delivered."""
        body = self.kube.remove(BY_KIND[kind], NAMESPACE, name)
        if tell:
            self.intake.on_event(BY_KIND[kind], "DELETED", body)

    async def settle(self) -> list[Outcome]:
        """Reconcile every key that is due now; return the outcomes."""
        outcomes = []
        while (key := self.queue.take()) is not None:
            outcomes.append(await self.reconciler.reconcile(key))
            self.queue.done(key)
        return outcomes

    def names(self, kind: str) -> set[str]:
        """Names of the live objects of a kind."""
        return {name for (known, _, name) in self.kube.objects if known == kind}

    def written(self) -> list[tuple[str, str, str]]:
        """The writes since the last call."""
        writes, self.kube.writes[:] = list(self.kube.writes), []
        return writes

    def status(self, name: str = "chat") -> dict[str, Any]:
        """The status as stored."""
        return dict(self.kube.objects[(MODEL_SERVICE.kind, NAMESPACE, name)].get("status") or {})
