"""Every ModelService in few numbers: what it serves, on how many replicas, with how much memory and how many GPUs."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from modelservice_operator.api.names import LABEL_NAME
from modelservice_operator.api.quantity import parse_quantity
from modelservice_operator.domain.pods import condition
from modelservice_operator.domain.tree import Tree, branch, items, moment, number, seconds, text
from modelservice_operator.domain.usage import devices_asked, devices_held, has_ended

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class Member:
    """One ModelService.

    `memory_bytes` and `gpus` are what its pods have asked for together, those without a node included; `hourly_cost` is
    that of the GPUs, where a price is known. `gpu_hours` is for how long the pods that exist now have held GPUs, times
    their number; `start_seconds` how long the newest start took, None before the first.
    """

    namespace: str
    name: str
    phase: str
    is_ready: bool
    reason: str
    ready_replicas: int
    wanted_replicas: str
    gpus: int
    memory_bytes: int
    model: str
    revision: str
    task: str
    model_bytes: int
    hourly_cost: float | None = None
    gpu_hours: float = 0.0
    start_seconds: float | None = None


def take_stock(services: Iterable[Tree], pods: Iterable[Tree], gpu_price: float | None, now: datetime) -> list[Member]:
    """The members, by namespace and name. `gpu_price` is for one GPU and hour."""
    by_owner: dict[tuple[str, str], list[Tree]] = defaultdict(list)
    for pod in pods:
        owner = text(pod, "metadata", "labels", LABEL_NAME)
        if owner and not has_ended(pod):
            by_owner[text(pod, "metadata", "namespace"), owner].append(pod)
    members = [_member(service, by_owner, gpu_price, now) for service in services]
    return sorted(members, key=lambda member: (member.namespace, member.name))


def _member(service: Tree, pods: dict[tuple[str, str], list[Tree]], gpu_price: float | None, now: datetime) -> Member:
    namespace, name = (text(service, "metadata", key) for key in ("namespace", "name"))
    status = branch(service, "status")
    ready = next((entry for entry in items(status, "conditions") if text(entry, "type") == "Ready"), {})
    mine = pods.get((namespace, name), [])
    gpus = sum(sum(devices_asked(pod).values()) for pod in mine)
    return Member(
        namespace=namespace,
        name=name,
        phase=text(status, "phase") or "Unseen",
        is_ready=_is_current(service) and text(ready, "status") == "True",
        reason=text(ready, "reason") or "Unseen",
        ready_replicas=number(status, "readyReplicas"),
        wanted_replicas=text(status, "replicasSummary").partition("/")[2] or "?",
        gpus=gpus,
        memory_bytes=sum(map(_memory, mine)),
        model=text(service, "spec", "model", "uri"),
        revision=text(status, "model", "resolvedRevision"),
        task=text(status, "model", "task"),
        model_bytes=number(status, "model", "sizeBytes"),
        hourly_cost=None if gpu_price is None else gpus * gpu_price,
        gpu_hours=round(sum(_gpu_hours(pod, now) for pod in mine), 2),
        start_seconds=seconds(status, "startup", "totalSeconds"),
    )


def _is_current(service: Tree) -> bool:
    return number(service, "status", "observedGeneration") >= number(service, "metadata", "generation")


def _gpu_hours(pod: Tree, now: datetime) -> float:
    placed = moment(condition(pod, "PodScheduled"), "lastTransitionTime")
    held = sum(devices_held(pod).values())
    return held * max(0.0, (now - placed).total_seconds()) / 3600 if placed else 0.0


def _memory(pod: Tree) -> int:
    """What the scheduler reserves: the containers together, or an init container that needs more."""
    running = sum(map(_memory_asked, items(pod, "spec", "containers")))
    return int(max([running, *map(_memory_asked, items(pod, "spec", "initContainers"))]))


def _memory_asked(container: Tree) -> Decimal:
    resources = branch(container, "resources")
    found = branch(resources, "requests").get("memory") or branch(resources, "limits").get("memory") or 0
    try:
        return parse_quantity(found)
    except ValueError:
        return Decimal(0)


def table(members: Sequence[Member]) -> list[list[str]]:
    """Header, rows and, of more than one, the sum."""
    priced = any(member.hourly_cost is not None for member in members)
    header = ["NAMESPACE", "NAME", "READY", "STATUS", "REPLICAS", "GPUS", "GPU-H", "MEMORY", "START", "MODEL", "SIZE"]
    rows = [header, *map(_row, members)]
    if len(members) > 1:
        gpus, memory = sum(member.gpus for member in members), sum(member.memory_bytes for member in members)
        ready = f"{sum(member.is_ready for member in members)}/{len(members)}"
        replicas = str(sum(member.ready_replicas for member in members))
        hours = f"{sum(member.gpu_hours for member in members):.1f}"
        rows.append(["", "(all)", ready, "", replicas, str(gpus), hours, human_bytes(memory), "", "", ""])
    if priced:
        costs = [member.hourly_cost or 0.0 for member in members]
        told = ["COST/H", *(f"{cost:.2f}" for cost in costs), *([f"{sum(costs):.2f}"] if len(members) > 1 else [])]
        rows = [[*row, cost] for row, cost in zip(rows, told, strict=True)]
    return rows


def _row(member: Member) -> list[str]:
    replicas = f"{member.ready_replicas}/{member.wanted_replicas}"
    return [
        member.namespace,
        member.name,
        str(member.is_ready),
        member.reason,
        replicas,
        str(member.gpus),
        f"{member.gpu_hours:.1f}",
        human_bytes(member.memory_bytes),
        "" if member.start_seconds is None else f"{member.start_seconds:.0f} s",
        member.model,
        human_bytes(member.model_bytes),
    ]


def human_bytes(count: int) -> str:
    """A number of bytes with the unit that leaves one to four digits."""
    value = float(count)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1024
    return ""


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines whose columns stand below one another."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
