"""Reconcile one ModelService: observe, decide, apply, report.

Everything that is decided is decided by pure functions of `domain` on data from the cache. An object that is as it
should be costs no request at all. Whatever is wrong with one ModelService becomes a condition of that one, and never
stops another.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from modelservice_operator.api.reasons import Reason
from modelservice_operator.controller.activity import Activity, signals_of
from modelservice_operator.controller.apply import Applier, NotLeading, Result
from modelservice_operator.controller.claims import Claims, looks_again_in
from modelservice_operator.controller.collect import CacheCollectors
from modelservice_operator.controller.comparison import Comparison
from modelservice_operator.controller.decide import Decision, Manifests, decide
from modelservice_operator.controller.intake import Intake
from modelservice_operator.controller.keys import Key
from modelservice_operator.controller.observe import ChildId, Observation, observe
from modelservice_operator.controller.owners import FieldOwners
from modelservice_operator.controller.pauses import Pauses
from modelservice_operator.controller.ports import Ports
from modelservice_operator.controller.reports import RuntimeReports
from modelservice_operator.controller.status import StatusWriter
from modelservice_operator.controller.waves import Waves
from modelservice_operator.domain import (
    Apply,
    ApplyResults,
    Facts,
    Failure,
    ObservedState,
    Recorded,
    RuntimeReport,
    SpecError,
    Stillness,
    compute_status,
    idle_seconds,
    is_ready,
    newest_ready,
    project,
    rejected_status,
    remember,
    server_of,
)
from modelservice_operator.engine.cache import Cache
from modelservice_operator.engine.workers import Outcome
from modelservice_operator.kube.api import KubeApi
from modelservice_operator.kube.errors import ApiError, Forbidden, Invalid, Throttled

log = logging.getLogger(__name__)

HOPELESS_SECONDS = 300.0
"""How long until a refused manifest is tried again without any change; a change is tried at once."""
FORBIDDEN_SECONDS = 60.0
CONFLICT_SECONDS = 2.0
"""An object in the way has none of our labels, so no event tells when it is gone; the backoff goes on from here."""
REPORT_GRACE = 0.3
"""How long the news of a ready pod may wait for what its runtime says of the start, so that both are one write."""


class Reconciler:
    """Makes ModelServices what their specs say. `facts` are what the operator knows about the cluster now."""

    def __init__(
        self,
        api: KubeApi,
        cache: Cache,
        intake: Intake,
        reports: RuntimeReports,
        facts: Callable[[], Facts],
        may_write: Callable[[], bool],
        activity: Activity,
        ports: Ports,
    ) -> None:
        self._cache = cache
        self._intake = intake
        self._reports = reports
        self._facts = facts
        self._activity = activity
        self._ports = ports
        self._comparison = Comparison(activity.scraper)
        self._pauses = Pauses()
        self._manifests = Manifests()
        self._claims = Claims(api, cache)
        self._waves = Waves(cache)
        self._applier = Applier(api, intake, may_write)
        self._owners = FieldOwners(api)
        self._status = StatusWriter(api, intake)
        self._collectors = CacheCollectors(api, cache, intake, self._applier.fence)
        self._recorded: dict[Key, dict[ChildId, Recorded]] = {}

    async def reconcile(self, key: Key) -> Outcome:
        """Bring the children and the status of `key` to what its spec asks for."""
        if (left := self._pauses.left(key)) > 0:
            return Outcome("Throttled", after=left, retry=True)
        try:
            if (record := self._cache.get(key.id)) is not None:
                await self._claims.look(key, record)
            seen = observe(self._cache, key)
            return await (self._clean_up(key) if seen is None else self._make_so(seen))
        except NotLeading:
            return Outcome("NotLeading")
        except ApiError as error:
            self._pauses.note(key, error)
            return _retry_after(error)

    async def _make_so(self, seen: Observation) -> Outcome:
        decision, results = await self._settle(seen)
        waiting = await self._report(seen, decision, results)
        await self._collectors.prepare(seen, self._facts())
        claim = looks_again_in(decision.error, seen.record.body.get("status") or {}, seen.seen_at)
        return _outcome(decision, results, _sooner(waiting, seen.changes_in, decision.looks_in, claim))

    async def _clean_up(self, key: Key) -> Outcome:
        self._forget(key)
        await self._collectors.release(key)
        return Outcome("Gone")

    async def _settle(self, seen: Observation) -> tuple[Decision, Sequence[Result]]:
        """Decide and apply, and once more if something that no watch shows has the name of a missing child."""
        decision = await self._decide(seen)
        results = await self._apply(seen.key, decision)
        unseen = {(r.action.kind, r.action.name): project(r.action.kind, r.unseen) for r in results if r.unseen}
        again = observe(self._cache, seen.key) if unseen else None
        if again is None:
            return decision, results
        decision = await self._decide(replace(again, children={**again.children, **unseen}))
        return decision, await self._apply(seen.key, decision)

    async def _decide(self, seen: Observation) -> Decision:
        """Decide; what others changed is left out where the spec asks for a report only."""
        recorded, still = self._recorded.get(seen.key, {}), self._stillness(seen)
        calls, has_turn = await self._comparison.of(seen), partial(self._waves.has_turn, seen)
        decision = decide(seen, self._facts(), self._manifests, recorded, still, calls, has_turn)
        return await self._owners.report(seen, decision)

    def _stillness(self, seen: Observation) -> Stillness:
        """For how long the pods have had no requests, and the port at the activator, where these matter."""
        seconds = idle_seconds(seen.service) if seen.service is not None else None
        port = 0 if seconds is None or self._facts().activator is None else self._ports.of(seen.key)
        pods = {pod["metadata"]["uid"]: str(pod["status"].get("podIP") or "") for pod in filter(is_ready, seen.pods)}
        if seconds is None or not pods:
            self._activity.forget(seen.key)
            return Stillness(None, port)
        return Stillness(self._activity.follow(seen.key, seconds, pods, signals_of(seen.profile)), port)

    async def _apply(self, key: Key, decision: Decision) -> Sequence[Result]:
        results = await self._applier.carry_out(decision.plan.actions if decision.plan else ())
        for result in results:
            self._pauses.note(key, result.error)
            if isinstance(result.action, Apply) and result.answer is not None:
                manifest = result.action.manifest
                child = manifest["kind"], manifest["metadata"]["name"]
                self._keep(key, child, remember(manifest, result.answer))
        return results

    def _keep(self, key: Key, child: ChildId, recorded: Recorded | None) -> None:
        if recorded is not None:
            self._recorded.setdefault(key, {})[child] = recorded
        elif key in self._recorded:
            self._recorded[key].pop(child, None)

    async def _report(self, before: Observation, decision: Decision, results: Sequence[Result]) -> float | None:
        """Write the status of what is there now; return in how many seconds to come back if it has to wait."""
        key = before.key
        seen = observe(self._cache, key) if results else before
        if seen is None:
            return None
        report, hold = self._runtime_report(seen)
        failures = _failures(results)
        status = self._status_of(seen, decision, report, failures)
        self._applier.fence()
        return await self._status.write(key, seen.record, status, hold, failed=bool(failures))

    def _status_of(
        self, seen: Observation, decision: Decision, report: RuntimeReport | None, failures: tuple[Failure, ...]
    ) -> dict[str, Any]:
        now = datetime.now(UTC)
        if seen.service is None:
            error = seen.error or SpecError(Reason.INVALID_SPEC, "", "the object cannot be read")
            return rejected_status(seen.record.body, error, now)
        state = ObservedState(
            seen.children, seen.pods, report, decision.plan, decision.error, self._facts(), decision.gate
        )
        return compute_status(seen.service, seen.profile, state, ApplyResults(failures), now)

    def _runtime_report(self, seen: Observation) -> tuple[RuntimeReport | None, float]:
        """The report of the newest ready pod, and how long the status may wait for it."""
        pod = newest_ready(seen.pods)
        if pod is None or server_of(seen.profile) is not None:
            return None, 0.0
        uid = pod["metadata"]["uid"]
        self._reports.want(seen.key, uid, str(pod["status"].get("podIP") or ""))
        return self._reports.of(uid), REPORT_GRACE if self._reports.is_pending(uid) else 0.0

    def _forget(self, key: Key) -> None:
        self._claims.forget(key)
        self._waves.forget(key)
        self._recorded.pop(key, None)
        self._pauses.forget(key)
        self._activity.forget(key)
        self._ports.forget(key)
        self._manifests.forget(key)
        self._owners.forget(key)
        self._status.forget(key)


def _failures(results: Sequence[Result]) -> tuple[Failure, ...]:
    return tuple(
        Failure(result.action.kind, result.action.name, result.error.message, result.error.code)
        for result in results
        if result.error is not None
    )


def _retry_after(error: ApiError) -> Outcome:
    """A request that belongs to no child failed: try again, as patiently as the error asks for."""
    result = type(error).__name__
    log.info("A request failed and will be repeated: %s", error)
    return Outcome(result, after=_patience(error), retry=True)


def _patience(error: ApiError) -> float:
    if isinstance(error, Throttled):
        return error.retry_after
    if isinstance(error, Invalid):
        return HOPELESS_SECONDS
    return FORBIDDEN_SECONDS if isinstance(error, Forbidden) else 0.0


def _sooner(*delays: float | None) -> float | None:
    return min((delay for delay in delays if delay is not None), default=None)


def _outcome(decision: Decision, results: Sequence[Result], waiting: float | None) -> Outcome:
    """Failed children are tried again, the least patient first; else come back when the status is due."""
    errors = [result.error for result in results if result.error is not None]
    if errors:
        patience = min(map(_patience, errors))
        return Outcome(type(errors[0]).__name__, after=patience, retry=True)
    if decision.plan is not None and decision.plan.conflicts:
        return Outcome("NameConflict", after=max(CONFLICT_SECONDS, waiting or 0.0), retry=True)
    if decision.error is not None:
        return Outcome(str(decision.error.reason), after=waiting)
    return Outcome("Applied" if results else "InSync", after=waiting)
