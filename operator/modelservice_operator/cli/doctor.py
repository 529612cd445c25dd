"""`doctor`: everything that someone who helps needs to see, in one archive, without secrets.

What may not be read is left out and named in the archive's `README`; nothing stops the rest.
"""

import asyncio
import json
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from modelservice_operator import __version__
from modelservice_operator.api.names import GROUP
from modelservice_operator.cli.bundle import Bundle, pack
from modelservice_operator.cli.evidence import gather
from modelservice_operator.cli.naming import optional_service_name
from modelservice_operator.cli.overseer import DEPLOYMENT, look_at_operator
from modelservice_operator.cli.session import CommandError, Session, with_cluster
from modelservice_operator.cli.why import as_document, as_lines
from modelservice_operator.cli.world import list_all
from modelservice_operator.controller.keys import Key
from modelservice_operator.domain.tree import items, number, text
from modelservice_operator.kube.api import Body
from modelservice_operator.kube.errors import ApiError, NotFound
from modelservice_operator.kube.resources import CHILDREN, MODEL_SERVICE, POD, RUNTIME_PROFILE, WARNING_EVENT, Resource

_LOG_LINES: Final = 2000
_NODE: Final = Resource("Node", "", "v1", "nodes", namespaced=False)
_CRD: Final = Resource(
    "CustomResourceDefinition", "apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False
)
_OPERATOR_POD: Final = replace(POD, selector=DEPLOYMENT.selector)

_Found = TypeVar("_Found")


@click.command()
@optional_service_name
@click.option(
    "-f", "--filename", type=click.Path(path_type=Path), help="Archive; default: modelservice-doctor-TIME.tar.gz."
)
@click.option("--logs/--no-logs", default=True, help="Whether logs are in it.", show_default=True)
@with_cluster
async def doctor(session: Session, name: str | None, filename: Path | None, logs: bool) -> int:
    """Collect what helps to find a fault: specs, status, events, pods, logs, versions; one service, or the namespace's.

    Secrets are not read; values of environment variables, tokens and passwords are taken out of everything. Look into
    the archive before you give it away: what a program logs of its own is known to it alone.
    """
    found = await _chosen(session, name)
    now = datetime.now(UTC)
    examination = Examination(session, logs)
    await examination.run(found)
    files = examination.bundle.files() | {"README": _readme(examination, found, now)}
    path = filename or Path(f"modelservice-doctor-{now:%Y%m%d-%H%M%S}.tar.gz")
    path.write_bytes(pack(files, f"modelservice-doctor-{now:%Y%m%d-%H%M%S}"))
    if session.is_json:
        click.echo(json.dumps({"archive": str(path), "files": list(files), "missing": examination.missing}, indent=2))
    else:
        click.echo(f"wrote {path}: {len(files)} files about {len(found)} ModelServices, secrets taken out")
        for told in examination.missing:
            click.echo(f"  not in it: {told}", err=True)
    return 0


async def _chosen(session: Session, name: str | None) -> list[Body]:
    if name is not None:
        return [await session.api.get(MODEL_SERVICE, session.namespace, name)]
    found = await list_all(session.api, MODEL_SERVICE, session.namespace)
    if not found:
        raise CommandError(f"namespace {session.namespace} has no ModelService; name another with -n")
    return found


@dataclass(slots=True)
class Examination:
    """Reads what there is; `missing` says what could not be read and why."""

    session: Session
    with_logs: bool
    bundle: Bundle = field(default_factory=Bundle)
    missing: list[str] = field(default_factory=list)

    async def run(self, services: Sequence[Body]) -> None:
        """Read everything about the services, and about the operator."""
        for service in services:
            await self._service(service["metadata"]["namespace"], service["metadata"]["name"], service)
        await self._list("events.yaml", WARNING_EVENT, self.session.namespace)
        await self._list("runtimeprofiles.yaml", RUNTIME_PROFILE)
        await self._operator()
        await self._cluster()

    async def _service(self, namespace: str, name: str, body: Body) -> None:
        folder = f"modelservices/{name}"
        self.bundle.add_object(f"{folder}/modelservice.yaml", body)
        evidence = await self._try(f"the verdict on {name}", gather(self.session.api, Key(namespace, name)))
        if evidence is not None:
            self.bundle.add_object(f"{folder}/why.json", as_document(evidence))
            lines = as_lines(evidence, datetime.now(UTC))
            self.bundle.add_text(f"{folder}/why.txt", click.unstyle("\n".join(lines)) + "\n")
        for resource in CHILDREN:
            await self._list(f"{folder}/children/{resource.kind.lower()}.yaml", _of(resource, name), namespace)
        for label in ("name", "preflight"):
            resource = replace(POD, selector=f"{GROUP}/{label}={name}")
            await self._pods(folder, resource, namespace)

    async def _operator(self) -> None:
        state = await look_at_operator(self.session.api)
        self.bundle.add_object("operator/state.json", {each: getattr(state, each) for each in state.__slots__})
        if state.namespace:
            await self._list("operator/deployment.yaml", DEPLOYMENT, state.namespace)
            await self._pods("operator", _OPERATOR_POD, state.namespace)

    async def _cluster(self) -> None:
        version = await self._try("the API server's version", self.session.api.version())
        self.bundle.add_object("versions.json", {"plugin": __version__, "server": version})
        nodes = await self._try("nodes", list_all(self.session.api, _NODE))
        self.bundle.add_object("nodes.yaml", [_node(node) for node in nodes or ()])
        crds = await self._try("CRDs", list_all(self.session.api, _CRD))
        ours = [crd for crd in crds or () if text(crd, "spec", "group") == GROUP]
        self.bundle.add_object(
            "crds.yaml", [{"metadata": crd["metadata"], "status": crd.get("status")} for crd in ours]
        )

    async def _pods(self, folder: str, resource: Resource, namespace: str) -> None:
        for pod in await self._try(f"pods of {folder}", list_all(self.session.api, resource, namespace)) or ():
            name = pod["metadata"]["name"]
            self.bundle.add_object(f"{folder}/pods/{name}.yaml", pod)
            if self.with_logs:
                await asyncio.gather(*(self._log(folder, pod, *which) for which in _logs_of(pod)))

    async def _log(self, folder: str, pod: Body, container: str, previous: bool) -> None:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        which = f"{container}.previous" if previous else container
        read = self.session.api.read_log(namespace, name, container, _LOG_LINES, previous)
        said = await self._try(f"the log of {which} in {name}", read)
        if said:
            self.bundle.add_text(f"{folder}/pods/{name}.{which}.log", said)

    async def _list(self, path: str, resource: Resource, namespace: str = "") -> None:
        try:
            found = await list_all(self.session.api, resource, namespace)
        except NotFound:
            return
        except ApiError as error:
            self.missing.append(f"{path}: {error.message}")
            return
        if found:
            self.bundle.add_object(path, found)

    async def _try(self, what: str, reading: Awaitable[_Found]) -> _Found | None:
        try:
            return await reading
        except ApiError as error:
            self.missing.append(f"{what}: {error.message}")
            return None


def _of(resource: Resource, name: str) -> Resource:
    return replace(resource, selector=f"{resource.selector},{GROUP}/name={name}")


def _logs_of(pod: Body) -> list[tuple[str, bool]]:
    """The containers that have run, and whether the log of their last end is asked for too."""
    statuses = [*items(pod, "status", "initContainerStatuses"), *items(pod, "status", "containerStatuses")]
    found = [(text(entry, "name"), False) for entry in statuses if not (entry.get("state") or {}).get("waiting")]
    return found + [(text(entry, "name"), True) for entry in statuses if number(entry, "restartCount")]


def _node(node: Body) -> dict[str, Any]:
    """What scheduling looks at."""
    kept = ("capacity", "allocatable", "conditions", "nodeInfo")
    return {
        "name": node["metadata"]["name"],
        "labels": node["metadata"].get("labels"),
        "taints": (node.get("spec") or {}).get("taints"),
        **{key: value for key, value in (node.get("status") or {}).items() if key in kept},
    }


def _readme(examination: Examination, services: Sequence[Body], now: datetime) -> str:
    names = ", ".join(service["metadata"]["name"] for service in services)
    lines = [
        f"Written by kubectl-modelservice {__version__} on {now:%Y-%m-%d %H:%M:%S} UTC.",
        f"Namespace {examination.session.namespace}; ModelServices: {names}.",
        "Begin with modelservices/NAME/why.txt. Secrets were not read; what looks like one was taken out.",
        *(["", "Not in here:"] if examination.missing else []),
        *(f"- {told}" for told in examination.missing),
    ]
    return "\n".join(lines) + "\n"
