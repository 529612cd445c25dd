"""What people do to their services, at random, and what should be there because of it."""

import copy
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from modelservice_operator.kube.errors import Conflict, NotFound
from modelservice_operator.kube.resources import BY_KIND, MODEL_SERVICE
from tests.support.team import Body, Team

BASIC = ("ServiceAccount", "Deployment", "Service")
GUARD = "PodDisruptionBudget"
PREFIX = "soak-"

Child = tuple[str, str]
Action = Callable[[str], Awaitable[Any]]


@dataclass
class Churn:
    """One namespace, and the specs that were last asked for in it, by name."""

    team: Team
    services: int
    rng: random.Random
    wanted: dict[str, Body] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)

    async def step(self) -> None:
        """One thing that somebody does to one service."""
        name = f"{PREFIX}{self.rng.randrange(self.services)}"
        strips: list[Action] = [self.strip, self.strip]
        actions: list[Action] = [self.configure, self.scale, self.guard, self.expose, self.remove, *strips]
        action = self.rng.choice(actions) if name in self.wanted else self.create
        await action(name)
        self.done[action.__name__] += 1

    async def create(self, name: str) -> None:
        """A new service."""
        self.wanted[name] = {"replicas": self.rng.randint(0, 2)}
        await self.team.create(name, **self.wanted[name])

    async def configure(self, name: str) -> None:
        """Another environment, so other pods."""
        await self._change(name, runtime={"env": [{"name": "CHANGED", "value": str(self.rng.randrange(10**6))}]})

    async def scale(self, name: str) -> None:
        """Another number of replicas."""
        await self._change(name, replicas=self.rng.randint(0, 2))

    async def guard(self, name: str) -> None:
        """A child more, or one less."""
        guarded = "availability" in self.wanted[name]
        await self._change(name, availability=None if guarded else {"minAvailable": 1})

    async def expose(self, name: str) -> None:
        """Another port."""
        await self._change(name, network={"service": {"port": self.rng.randint(8000, 8999)}})

    async def strip(self, name: str) -> None:
        """Somebody deletes a child, unless it is not there at the moment."""
        kind = self.rng.choice(BASIC)
        try:
            await self.team.remove(kind, name)
        except (NotFound, Conflict):  # it is gone, or was replaced a moment ago
            self.done["strip: nothing there"] += 1

    async def remove(self, name: str) -> None:
        """The service goes."""
        del self.wanted[name]
        await self.team.remove(MODEL_SERVICE.kind, name)

    async def _change(self, name: str, **blocks: Any) -> None:
        spec = {key: value for key, value in {**self.wanted[name], **blocks}.items() if value is not None}
        self.wanted[name] = spec

        def edit(body: Body) -> None:
            body["spec"] = {"model": body["spec"]["model"], **copy.deepcopy(spec)}

        await self.team.change(MODEL_SERVICE.kind, name, edit)

    def children(self) -> set[Child]:
        """The children that there should be."""
        guards = {(GUARD, name) for name, spec in self.wanted.items() if "availability" in spec}
        return {(kind, name) for name in self.wanted for kind in BASIC} | guards

    async def differences(self) -> list[str]:
        """What is missing, left over, or not as it was last asked for."""
        there = {child for child in await self.team.children() if child[1].startswith(PREFIX)}
        found = [f"lost: {kind} {name}" for kind, name in self.children() - there]
        found += [f"left over: {kind} {name}" for kind, name in there - self.children()]
        return found or [*await self._stale_services(), *await self._stale_children()]

    async def _stale_services(self) -> list[str]:
        """Services whose status is not of the newest generation, or that should not be there."""
        found, names = [], set()
        async for page in self.team.api.list_pages(MODEL_SERVICE, self.team.namespace):
            for body in page.items:
                name, generation = body["metadata"]["name"], body["metadata"]["generation"]
                names.add(name)
                if body.get("status", {}).get("observedGeneration") != generation:
                    found.append(f"stale: the status of {name}")
        return [*found, *(f"not as asked for: {name}" for name in names ^ self.wanted.keys())]

    async def _stale_children(self) -> list[str]:
        """Children that do not say what the newest spec does."""
        found = []
        async for page in self.team.api.list_pages(BY_KIND["Deployment"], self.team.namespace):
            for body in page.items:
                name, spec = body["metadata"]["name"], body["spec"]
                asked = self.wanted[name]
                said = {variable["name"]: variable.get("value") for variable in _server(spec)["env"]}
                env = asked.get("runtime", {}).get("env", [{"value": None}])
                if spec["replicas"] != asked["replicas"] or said.get("CHANGED") != env[0]["value"]:
                    found.append(f"stale: Deployment {name}")
        async for page in self.team.api.list_pages(BY_KIND["Service"], self.team.namespace):
            for body in page.items:
                port = self.wanted[body["metadata"]["name"]].get("network", {"service": {"port": 80}})["service"][
                    "port"
                ]
                if port not in [each["port"] for each in body["spec"]["ports"]]:
                    found.append(f"stale: Service {body['metadata']['name']}")
        return found


def _server(spec: Body) -> Body:
    server: Body = next(c for c in spec["template"]["spec"]["containers"] if c["name"] == "server")
    return server
