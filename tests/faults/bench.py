"""The bench of every fault test: replicas behind proxies, a team that uses them, and the invariants as assertions.

The invariants, by the numbers that the tests' names and messages use:

* I1 the children are those of a world without faults, and the status is of the newest generation;
* I2 nothing is there twice, and nothing is left over;
* I3 nobody writes who does not hold the lease;
* I4 once all is done, nothing more is written;
* I5 what others own stays as they set it;
* I6 the process lives, and no error went unhandled;
* I7 a change costs at most the children that it changes and two writes more;
* I8 what is wrong with one ModelService does not touch another.
"""

import asyncio
import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from modelservice_operator.api.kinds import CHILD_KINDS
from modelservice_operator.api.names import DESIRED_HASH
from modelservice_operator.kube.resources import BY_KIND, MODEL_SERVICE
from tests.cluster import Cluster
from tests.faults.proxy import FaultProxy
from tests.faults.warm import WarmOperator
from tests.support.account import NAMESPACE, USER, drop_lease, log_in
from tests.support.audit import Audit, Event, describe, strangers
from tests.support.operators import OperatorProcess
from tests.support.polling import until_async
from tests.support.team import Team

CONVERGE_SECONDS = 60.0
"""A bound for busy machines: what is waited for comes in a second or two."""
RENEW_DEADLINE = 10.0
"""The operator's own default, in seconds."""

_UNHANDLED = ("Traceback (most recent call last)", "Task exception was never retrieved", "was never awaited")
_SERVER_SET = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation")
_ALLOCATED = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy")

World = dict[str, Any]
"""Children by `Kind/name`, without what differs from one run to the next."""


@dataclass
class Replica:
    """One operator and the proxy through which it sees the API server."""

    operator: OperatorProcess
    proxy: FaultProxy

    def restart(self) -> None:
        """Start the process again, as a kubelet does with a container: the same pod, so the same identity."""
        self.operator.start()


@dataclass
class FaultBench:
    """Replicas of one test on a shared control plane."""

    cluster: Cluster
    folder: Path
    team: Team
    audit: Audit
    replicas: list[Replica] = field(default_factory=list)

    @staticmethod
    def open(cluster: Cluster, folder: Path, team: Team) -> "FaultBench":
        """A bench without replicas, and nobody holds the lease."""
        drop_lease(cluster)
        return FaultBench(cluster, folder, team, Audit(cluster.audit_log, USER).mark())

    def close(self) -> None:
        """End the replicas and their proxies."""
        for replica in self.replicas:
            replica.operator.close()
            replica.proxy.stop()

    def add(self, *flags: str) -> Replica:
        """One more replica, not started yet."""
        place = yaml.safe_load(self.cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
        authority = base64.b64decode(place["certificate-authority-data"]).decode()
        proxy = FaultProxy(place["server"], authority).start()
        name = f"replica-{len(self.replicas)}"
        login = log_in(self.cluster, self.folder / f"{name}.kubeconfig", proxy.url)
        operator = WarmOperator(login, self.folder / f"{name}.log", name, ("--namespace", NAMESPACE, *flags))
        replica = Replica(operator, proxy)
        self.replicas.append(replica)
        return replica

    def start(self, *flags: str) -> Replica:
        """One more replica that is ready."""
        replica = self.add(*flags)
        replica.operator.start()
        return replica

    def lead(self, *flags: str) -> Replica:
        """One more replica that leads."""
        replica = self.start(*flags)
        replica.operator.wait(replica.operator.leads, "it leads", 60)
        return replica

    def writes(self) -> list[Event]:
        """The operators' writes in the team's namespace since the mark."""
        return [e for e in self.audit.writes() if e["objectRef"].get("namespace") == self.team.namespace]

    async def converge(self, name: str, *kinds: str, seconds: float = CONVERGE_SECONDS) -> None:
        """I1, I2: wait until exactly these children of that name exist and the status is of the newest generation.

        The ConfigMaps of a service carry the hash of what is in them in their names: see `world`.
        """
        wanted = {(kind, name) for kind in kinds}
        seen: list[object] = []

        async def there() -> bool:
            children = {child for child in await self.team.children() if child[1] == name}
            body = await self.team.get(MODEL_SERVICE.kind, name) or {"metadata": {}}
            told = body.get("status", {}).get("observedGeneration")
            seen[:] = [children ^ wanted, told, body["metadata"].get("generation")]
            return children == wanted and told is not None and told == body["metadata"]["generation"]

        try:
            await until_async(there, seconds)
        except TimeoutError:
            raise AssertionError(f"I1: not converged in {seconds} s; {seen}\n{self._logs()}") from None

    async def world(self) -> World:
        """Every child in the team's namespace."""
        found: World = {}
        for kind in CHILD_KINDS:
            if kind.optional:
                continue
            async for page in self.team.api.list_pages(BY_KIND[kind.kind], self.team.namespace):
                found |= {f"{kind.kind}/{item['metadata']['name']}": _essence(item) for item in page.items}
        return found

    async def expect_quiet(self, seconds: float = 1.5) -> None:
        """I4: wait until all is said, then see that nothing is written any more."""
        await self.team.quiet(1.2)
        self.audit.mark()
        await asyncio.sleep(seconds)
        assert describe(self.writes()) == [], "I4"

    def expect_one_writer(self, renew_deadline: float = RENEW_DEADLINE) -> None:
        """I3, over everything since the mark."""
        assert describe(strangers(self.audit, renew_deadline + 1.0)) == [], "I3"

    def expect_health(self, alive: Iterable[Replica] = ()) -> None:
        """I6: no log tells of an error that nobody handled, and those that should be alive are."""
        for replica in self.replicas:
            text = replica.operator.log.read_text()
            found = [word for word in _UNHANDLED if word in text]
            assert found == [], f"I6: {replica.operator.identity}\n{text[-4000:]}"
        for replica in alive:
            assert replica.operator.process is not None
            assert replica.operator.process.poll() is None, f"I6: {replica.operator.identity} ended"

    def _logs(self) -> str:
        return "\n".join(f"{r.operator.identity}:\n{r.operator.log.read_text()[-3000:]}" for r in self.replicas)


def _essence(body: dict[str, Any]) -> dict[str, Any]:
    """What a child says, without what the API server and its controllers chose."""
    metadata = {key: value for key, value in body["metadata"].items() if key not in _SERVER_SET}
    annotations = metadata.get("annotations") or {}
    metadata["annotations"] = {key: value for key, value in annotations.items() if key != DESIRED_HASH}
    metadata["ownerReferences"] = [
        {key: value for key, value in owner.items() if key != "uid"} for owner in metadata.get("ownerReferences", ())
    ]
    rest = {key: value for key, value in body.items() if key not in ("metadata", "status")}
    if isinstance(rest.get("spec"), dict):
        rest["spec"] = {key: value for key, value in rest["spec"].items() if key not in _ALLOCATED}
    return {**rest, "metadata": metadata}
