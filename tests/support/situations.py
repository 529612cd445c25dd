"""Recorded situations: what a real cluster showed around one ModelService, and what the operator made of it.

A recording has the objects as the operator's cache keeps them (projected), and the facts that its decisions rest on.
Tests on a real node write them; the unit tests judge them again with the code as it is.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelservice_operator.api.kinds import BY_KIND
from modelservice_operator.api.reasons import Reason
from modelservice_operator.controller.decide import Manifests, decide
from modelservice_operator.controller.intake import record_of
from modelservice_operator.controller.keys import Key
from modelservice_operator.controller.observe import observe
from modelservice_operator.domain import (
    ApplyResults,
    Facts,
    ObservedState,
    SpecError,
    compute_status,
    project,
    rejected_status,
)
from modelservice_operator.engine.cache import Cache
from modelservice_operator.kube.resources import CLAIM, MODEL_SERVICE, POD, RUNTIME_PROFILE, Resource, child_resource

Body = dict[str, Any]

FOLDER = Path(__file__).parents[1] / "golden" / "situations"


@dataclass(frozen=True)
class Situation:
    """One recording. `conditions` are type, status and reason, as the operator wrote them."""

    name: str
    at: str
    facts: Mapping[str, Any]
    bodies: Sequence[Body]
    conditions: Sequence[Sequence[str]]

    @property
    def reasons(self) -> set[str]:
        """Every reason in it."""
        return {reason for *_, reason in self.conditions}

    def write(self, folder: Path) -> None:
        """Write it as NAME.json."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {key: value for key, value in vars(self).items() if key != "name"}
        (folder / f"{self.name}.json").write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")

    def judge(self) -> list[list[str]]:
        """Type, status and reason of every condition as the code sees them now."""
        cache = Cache()
        for body in self.bodies:
            cache.upsert(record_of(_resource(body["kind"]), body))
        service = next(body for body in self.bodies if body["kind"] == MODEL_SERVICE.kind)
        now = datetime.fromisoformat(self.at)
        seen = observe(cache, Key(service["metadata"]["namespace"], service["metadata"]["name"]), now)
        assert seen is not None
        if seen.service is None:
            status = rejected_status(service, seen.error or SpecError(Reason.INVALID_SPEC, "", ""), now)
            return _told(status)
        facts = Facts(**{**self.facts, "optional_kinds": frozenset(self.facts["optional_kinds"])})
        decision = decide(seen, facts, Manifests(), {})
        state = ObservedState(seen.children, seen.pods, None, decision.plan, decision.error, facts, decision.gate)
        return _told(compute_status(seen.service, seen.profile, state, ApplyResults(), now))


def record(name: str, bodies: Sequence[Body], facts: Mapping[str, Any]) -> Situation:
    """Make a recording of objects as the API server has them; the ModelService among them has the status."""
    kept = [json.loads(json.dumps({**project(body["kind"], body), "kind": body["kind"]})) for body in bodies]
    service = next(body for body in bodies if body["kind"] == MODEL_SERVICE.kind)
    return Situation(name, datetime.now(UTC).isoformat(timespec="seconds"), facts, kept, _told(service["status"]))


def read_all(folder: Path = FOLDER) -> list[Situation]:
    """Every recording of a folder, by name."""
    return [Situation(path.stem, **json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]


def _told(status: Mapping[str, Any]) -> list[list[str]]:
    return [[entry["type"], entry["status"], entry["reason"]] for entry in status["conditions"]]


def _resource(kind: str) -> Resource:
    known = {resource.kind: resource for resource in (MODEL_SERVICE, RUNTIME_PROFILE, POD, CLAIM)}
    return known.get(kind) or child_resource(BY_KIND[kind])
