"""Who owns the fields of children that have drifted: read from the API server, and only where it is asked for.

The cache keeps no `managedFields`, which are larger than all else in an object. They matter to ModelServices with the
driftPolicy Report, and there to children that differ; each version of such a child is read once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from modelservice_operator.api.kinds import BY_KIND
from modelservice_operator.controller.decide import Decision
from modelservice_operator.controller.keys import Key
from modelservice_operator.controller.observe import ChildId, Observation
from modelservice_operator.domain import may_have_drifted, report_drift
from modelservice_operator.kube.api import Body, KubeApi
from modelservice_operator.kube.errors import NotFound
from modelservice_operator.kube.resources import child_resource


class FieldOwners:
    """Drifted children as the API server has them, by the version in which they were seen."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._known: dict[Key, dict[tuple[ChildId, str], Body]] = {}

    async def report(self, seen: Observation, decision: Decision) -> Decision:
        """Leave what others changed as it is, where the spec asks for that. Raises ApiError."""
        plan = decision.plan
        if seen.service is None or seen.service.spec.drift_policy == "Correct" or plan is None:
            self.forget(seen.key)
            return decision
        raw = await self._raw(seen, may_have_drifted(plan))
        return replace(decision, plan=report_drift(plan, raw))

    def forget(self, key: Key) -> None:
        """The ModelService is gone, or no longer asks."""
        self._known.pop(key, None)

    async def _raw(self, seen: Observation, children: Iterable[ChildId]) -> dict[ChildId, Body]:
        known = self._known.get(seen.key, {})
        found: dict[tuple[ChildId, str], Body] = {}
        for child in children:
            live = seen.children.get(child)
            if live is not None:
                version = child, str(live["metadata"].get("resourceVersion", ""))
                found[version] = known[version] if version in known else await self._read(child, live)
        self._known[seen.key] = found
        return {child: body for (child, _), body in found.items()}

    async def _read(self, child: ChildId, live: Mapping[str, Any]) -> Body:
        kind, name = child
        try:
            return await self._api.get(child_resource(BY_KIND[kind]), live["metadata"]["namespace"], name)
        except NotFound:
            return {}
