"""What the operator would have in its cache about one ModelService, read from the API server for one look."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modelservice_operator.api.activator import FIRST_PORT, PORTS, SERVICE_NAME
from modelservice_operator.api.kinds import BY_KIND
from modelservice_operator.api.names import LABEL_NAME, LABEL_PREFLIGHT
from modelservice_operator.cli.overseer import find_operator, settings_of
from modelservice_operator.controller.decide import Decision, Manifests, decide
from modelservice_operator.controller.intake import record_of
from modelservice_operator.controller.keys import Key
from modelservice_operator.controller.observe import Observation
from modelservice_operator.controller.ports import Ports
from modelservice_operator.domain import (
    Apply,
    Facts,
    Stillness,
    claim_named_in,
    may_have_drifted,
    project,
    report_drift,
)
from modelservice_operator.engine.cache import Cache
from modelservice_operator.kube.api import Body, KubeApi
from modelservice_operator.kube.endpoints import read_slice, slices_of
from modelservice_operator.kube.errors import ApiError, NotFound
from modelservice_operator.kube.resources import (
    CHILDREN,
    CLAIM,
    MODEL_SERVICE,
    OURS,
    POD,
    RUNTIME_PROFILE,
    Resource,
    child_resource,
)
from modelservice_operator.settings import Settings

_SETTINGS = ("namespace", "default_runtime_image", "image_pull_policy", "prometheus_url", "activator_service")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The cache that the operator's code reads, and the same objects as the API server has them."""

    cache: Cache = field(default_factory=Cache)
    raw: dict[tuple[str, str], Body] = field(default_factory=dict)

    def add(self, resource: Resource, body: Mapping[str, Any]) -> None:
        """Take an object; one that only a dry run has made has no version yet."""
        metadata = {"resourceVersion": "0", "uid": "", **body["metadata"]}
        self.cache.upsert(record_of(resource, {**body, "metadata": metadata}))
        self.raw[resource.kind, metadata["name"]] = dict(body)


async def list_all(api: KubeApi, resource: Resource, namespace: str = "") -> list[Body]:
    """Every object that the resource's selector matches."""
    return [item async for page in api.list_pages(resource, namespace) for item in page.items]


def pods_of(name: str) -> Resource:
    """The pods of the model of a ModelService."""
    return replace(POD, selector=f"{OURS},{LABEL_NAME}={name}")


def preflights_of(name: str) -> Resource:
    """The pods that looked at the model of a ModelService."""
    return replace(POD, selector=f"{OURS},{LABEL_PREFLIGHT}={name}")


async def look_around(api: KubeApi, key: Key, optional_kinds: Iterable[str], profiles: Iterable[Body]) -> Surroundings:
    """Read the children and pods of `key` and all profiles; those of `profiles` stand for the stored ones."""
    around = Surroundings()
    given = {body["metadata"]["name"]: body for body in profiles}
    stored = {body["metadata"]["name"]: body for body in await list_all(api, RUNTIME_PROFILE)}
    for body in (stored | given).values():
        around.add(RUNTIME_PROFILE, body)
    served = [resource for resource in CHILDREN if not resource.optional or resource.kind in set(optional_kinds)]
    mine = [replace(resource, selector=f"{resource.selector},{LABEL_NAME}={key.name}") for resource in served]
    mine += [pods_of(key.name), preflights_of(key.name)]
    for resource, bodies in zip(
        mine, await asyncio.gather(*(list_all(api, r, key.namespace) for r in mine)), strict=True
    ):
        for body in bodies:
            around.add(resource, body)
    return around


async def add_service(api: KubeApi, around: Surroundings, body: Body) -> None:
    """Take the ModelService itself, and read the claim of its cache, if it has one."""
    around.add(MODEL_SERVICE, body)
    name = claim_named_in(body["spec"])
    if name and (claim := await find(api, CLAIM, body["metadata"]["namespace"], name)):
        around.add(CLAIM, claim)


async def decide_on(api: KubeApi, seen: Observation, facts: Facts, around: Surroundings) -> Decision:
    """Decide as the reconciler does: again, if objects without our label have the names of missing children."""
    port = 0 if facts.activator is None else Ports(around.cache, FIRST_PORT, PORTS).of(seen.key)
    still = Stillness(port=port)
    decision = decide(seen, facts, Manifests(), {}, still)
    unseen = {}
    for action in decision.plan.actions if decision.plan else ():
        child = action.kind, action.name
        if isinstance(action, Apply) and child not in seen.children:
            body = await find(api, child_resource(BY_KIND[action.kind]), action.namespace, action.name)
            if body is not None:
                unseen[child] = project(action.kind, body)
                around.raw[child] = body
    if unseen:
        decision = decide(replace(seen, children={**seen.children, **unseen}), facts, Manifests(), {}, still)
    return _reported(decision, seen, around)


def _reported(decision: Decision, seen: Observation, around: Surroundings) -> Decision:
    """The decision without the repair of what others changed, where the spec asks for a report only."""
    if decision.plan is None or seen.service is None or seen.service.spec.drift_policy == "Correct":
        return decision
    bodies = ((child, around.raw.get(child)) for child in may_have_drifted(decision.plan))
    raw = {child: body for child, body in bodies if body is not None}
    return replace(decision, plan=report_drift(decision.plan, raw))


async def read_facts(api: KubeApi, given: Mapping[str, str]) -> tuple[Facts, str]:
    """What the operator of the cluster knows, and a note where that had to be guessed.

    `given` are settings that the user knows better.
    """
    optional = [resource for resource in CHILDREN if resource.optional]
    served = await asyncio.gather(*(api.serves(resource) for resource in optional))
    found, note = await _settings_of_operator(api)
    settings = Settings.model_validate({**found, **given})
    facts = Facts(
        default_runtime_image=settings.default_runtime_image,
        image_pull_policy=settings.image_pull_policy,
        optional_kinds=frozenset(r.kind for r, is_served in zip(optional, served, strict=True) if is_served),
        operator_namespace=settings.namespace,
        prometheus_url=settings.prometheus_url,
        activator=await _addresses_of_activator(api, settings) if settings.activator_service else None,
    )
    return facts, "" if given else note


async def _addresses_of_activator(api: KubeApi, settings: Settings) -> tuple[str, ...]:
    """Where the activator's pods are; none where the user may not see that."""
    resource = slices_of(f"{SERVICE_NAME}={settings.activator_service}")
    try:
        slices = [read_slice(body) for body in await list_all(api, resource, settings.namespace)]
    except ApiError:
        return ()
    return tuple(sorted({address for each in slices for address in each.addresses}))


async def _settings_of_operator(api: KubeApi) -> tuple[dict[str, str], str]:
    """The settings that the operator's Deployment gives it."""
    try:
        deployment = await find_operator(api)
    except ApiError as error:
        return {}, f"the operator's settings could not be read, its defaults are assumed: {error.message}"
    if deployment is None:
        return {}, "no Deployment of the operator was found, its default settings are assumed; see --runtime-image"
    return {name: value for name, value in settings_of(deployment).items() if name in _SETTINGS}, ""


async def find(api: KubeApi, resource: Resource, namespace: str, name: str) -> Body | None:
    """One object, or None."""
    try:
        return await api.get(resource, namespace, name)
    except NotFound:
        return None
