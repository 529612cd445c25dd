"""Whether the operator works: what its Deployment and its Lease say, so that an old status is told from a true one."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from modelservice_operator.domain.tree import branch, items, moment, number, text
from modelservice_operator.kube.api import Body, KubeApi
from modelservice_operator.kube.errors import ApiError, NotFound
from modelservice_operator.kube.resources import LEASE, Resource
from modelservice_operator.settings import ENV_PREFIX, Settings

DEPLOYMENT: Final = Resource(
    "Deployment",
    "apps",
    "v1",
    "deployments",
    selector="app.kubernetes.io/component=operator,app.kubernetes.io/part-of=modelservice",
)
_UNKNOWN: Final = "whether the operator runs is not known"
_LOOK_AGAIN_SECONDS: Final = 3.0
"""A leader renews every 2 s; a clock that differs from ours cannot hide that the time in the Lease moves on."""


@dataclass(frozen=True, slots=True)
class OperatorState:
    """What is known of the operator.

    `problem` says that it does not work, `note` why that is not known; `renewed_seconds` is the age of the leader's
    last renewal by this machine's clock.
    """

    namespace: str = ""
    image: str = ""
    ready_replicas: int = 0
    leader: str = ""
    renewed_seconds: float | None = None
    problem: str = ""
    note: str = ""


async def find_operator(api: KubeApi) -> Body | None:
    """The operator's Deployment, if there is one. Raises ApiError when it cannot be looked for."""
    found = [item async for page in api.list_pages(DEPLOYMENT) for item in page.items]
    return found[0] if found else None


def settings_of(deployment: Body) -> dict[str, str]:
    """The settings that the Deployment gives the operator, by their names; those given by reference are left out."""
    containers = items(deployment, "spec", "template", "spec", "containers")
    given = {text(entry, "name"): text(entry, "value") for entry in items(next(iter(containers), {}), "env")}
    known = {name: given.get(ENV_PREFIX + name.upper(), "") for name in Settings.model_fields}
    return {name: value for name, value in known.items() if value} | {
        "namespace": text(deployment, "metadata", "namespace")
    }


async def look_at_operator(api: KubeApi) -> OperatorState:
    """Look at the operator; never raises ApiError."""
    try:
        deployment = await find_operator(api)
        if deployment is None:
            return OperatorState(note=f"{_UNKNOWN}: no Deployment of it was found")
        lease = await _lease(api, deployment)
        state = judge(deployment, lease, datetime.now(UTC))
        if state.problem and state.leader:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            again = await _lease(api, deployment)
            moves = _renewal(again) != _renewal(lease)
            return judge(deployment, again, _renewal(again) or datetime.now(UTC)) if moves else state
    except ApiError as error:
        return OperatorState(note=f"{_UNKNOWN}: {error.message}")
    return state


def judge(deployment: Body, lease: Body | None, now: datetime) -> OperatorState:
    """What the Deployment and the Lease say at `now`."""
    settings = settings_of(deployment)
    leader, renewed = text(lease, "spec", "holderIdentity"), _renewal(lease)
    age = max(0.0, (now - renewed).total_seconds()) if renewed else None
    limit = number(lease, "spec", "leaseDurationSeconds") or Settings.model_fields["lease_duration"].default
    container = next(iter(items(deployment, "spec", "template", "spec", "containers")), {})
    return OperatorState(
        namespace=settings["namespace"],
        image=text(container, "image"),
        ready_replicas=number(branch(deployment, "status"), "readyReplicas"),
        leader=leader,
        renewed_seconds=age,
        problem=_problem(settings["namespace"], leader, age, limit),
    )


def _problem(namespace: str, leader: str, age: float | None, limit: float) -> str:
    look = f"look at it with `kubectl get pods -n {namespace} -l {DEPLOYMENT.selector}`"
    if not leader or age is None:
        return f"no replica of the operator leads, so nothing acts on the spec and no status is written; {look}"
    if age <= limit:
        return ""
    return (
        f"the operator does not run: its leader {leader} renewed its lease {age:.0f} s ago (limit {limit:g} s); {look}"
    )


async def _lease(api: KubeApi, deployment: Body) -> Body | None:
    settings = settings_of(deployment)
    name = settings.get("lease_name") or Settings.model_fields["lease_name"].default
    try:
        return await api.get(LEASE, settings["namespace"], name)
    except NotFound:
        return None


def _renewal(lease: Body | None) -> datetime | None:
    return moment(lease, "spec", "renewTime")
