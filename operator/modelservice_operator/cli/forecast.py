"""What the operator would do if a ModelService were applied: its own code decides, the API server validates."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from modelservice_operator.api.kinds import BY_KIND, DEPLOYMENT
from modelservice_operator.api.reasons import Reason, default_hint
from modelservice_operator.cli.changes import FieldChange, changes
from modelservice_operator.cli.world import Surroundings, add_service, decide_on, find, look_around
from modelservice_operator.controller.keys import Key
from modelservice_operator.controller.observe import Observation, observe
from modelservice_operator.domain import Apply, Delete, Facts, SpecError, missing_kinds
from modelservice_operator.kube.api import Body, KubeApi
from modelservice_operator.kube.errors import Forbidden, Invalid
from modelservice_operator.kube.resources import MODEL_SERVICE, child_resource

Action = Literal["create", "change", "delete"]

_HELD = "a preflight looks at the model first; the pods and what is held back with them follow when it ends well"


@dataclass(frozen=True, slots=True)
class ChildForecast:
    """One object. `refused` is what the API server says against it."""

    kind: str
    name: str
    action: Action
    fields: tuple[FieldChange, ...] = ()
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Restart:
    """Pods that would be replaced, how, and the fields that are the reason."""

    pods: int
    strategy: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Forecast:
    """Everything that would happen to one ModelService. `error` is what the operator would say of its spec."""

    namespace: str
    name: str
    objects: tuple[ChildForecast, ...] = ()
    restart: Restart | None = None
    conflicts: tuple[str, ...] = ()
    error: SpecError | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def has_failed(self) -> bool:
        """Whether some of it could not be carried out."""
        return self.error is not None or bool(self.conflicts) or any(entry.refused for entry in self.objects)


async def foresee(api: KubeApi, body: Body, profiles: Sequence[Body], facts: Facts) -> Forecast:
    """Forecast for `body`, a ModelService as a dry run of its apply returned it. `api` must send dry runs only."""
    key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
    around = await look_around(api, key, facts.optional_kinds, profiles)
    before = await find(api, MODEL_SERVICE, key.namespace, key.name)
    own = _forecast_of(MODEL_SERVICE.kind, key.name, before, body, body)
    await add_service(api, around, body)
    seen = observe(around.cache, key)
    if seen is None:
        error = SpecError(Reason.PENDING, "metadata.name", "the ModelService is being deleted; wait until it is gone")
        return Forecast(key.namespace, key.name, error=error)
    decision = await decide_on(api, seen, facts, around)
    if decision.plan is None:
        return Forecast(key.namespace, key.name, own, error=decision.error)
    children = await asyncio.gather(*(_try(api, action, around) for action in decision.plan.actions))
    return Forecast(
        key.namespace,
        key.name,
        (*own, *(entry for found, _ in children for entry in found)),
        next((restart for _, restart in children if restart is not None), None),
        tuple(conflict.message for conflict in decision.plan.conflicts),
        notes=(*_unserved(seen, facts), *(() if decision.gate.is_open else (_HELD,))),
    )


async def _try(
    api: KubeApi, action: Apply | Delete, around: Surroundings
) -> tuple[tuple[ChildForecast, ...], Restart | None]:
    """Ask the API server what it would make of an action. Raises ApiError when it cannot be asked."""
    if isinstance(action, Delete):
        return (ChildForecast(action.kind, action.name, "delete"),), None
    before = around.raw.get((action.kind, action.name))
    try:
        after = await api.apply(child_resource(BY_KIND[action.kind]), action.manifest)
    except (Invalid, Forbidden) as error:
        act: Action = "change" if before else "create"
        fields = () if before else changes({}, action.manifest)
        return (ChildForecast(action.kind, action.name, act, fields, error.message),), None
    found = _forecast_of(action.kind, action.name, before, after, action.manifest)
    return found, _restart(before, after) if action.kind == DEPLOYMENT.kind and before else None


def _forecast_of(
    kind: str, name: str, before: Body | None, after: Mapping[str, Any], asked: Mapping[str, Any]
) -> tuple[ChildForecast, ...]:
    """The change of one object; of a new one the fields that are asked for, without the API server's defaults."""
    if before is None:
        return (ChildForecast(kind, name, "create", changes({}, asked)),)
    fields = changes(before, after)
    return (ChildForecast(kind, name, "change", fields),) if fields else ()


def _restart(before: Body, after: Body) -> Restart | None:
    """The pods that a change of the pod template replaces."""
    old, new = ({"template": body["spec"]["template"]} for body in (before, after))
    paths = tuple(f"spec.{change.path}" for change in changes(old, new))
    pods = int((before.get("status") or {}).get("replicas") or 0)
    strategy = str((after["spec"].get("strategy") or {}).get("type") or "RollingUpdate")
    return Restart(pods, strategy, paths) if paths and pods else None


def _unserved(seen: Observation, facts: Facts) -> tuple[str, ...]:
    missing = sorted(missing_kinds(seen.service, facts)) if seen.service else []
    return tuple(f"the cluster does not serve {kind}: {default_hint(Reason.CRD_MISSING)}" for kind in missing)
