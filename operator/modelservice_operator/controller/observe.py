"""The state of the world around one ModelService, read from the cache alone: no reconcile begins with a request."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from modelservice_operator.api.kinds import BY_KIND
from modelservice_operator.api.names import LABEL_PREFLIGHT
from modelservice_operator.api.v1alpha1 import ModelService, RuntimeProfile
from modelservice_operator.controller.keys import Key
from modelservice_operator.domain import Claim, SpecError, claim_named_in, follow_schedules, read_profile, read_service
from modelservice_operator.engine.cache import Cache, ObjectId, Record
from modelservice_operator.kube.resources import CLAIM, POD, RUNTIME_PROFILE

ChildId = tuple[str, str]
"""Kind and name of a child."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One ModelService with everything that was seen around it.

    `pods` are those of the model, `preflights` those that looked at it, `claim` is that of its cache. `service` is
    None, and `error` says why, when its spec, or the profile that it names, cannot be read. What its schedules ask for
    now is in it; that may change in `changes_in` seconds.
    """

    key: Key
    record: Record
    service: ModelService | None
    profile: RuntimeProfile | None
    children: Mapping[ChildId, dict[str, Any]]
    pods: tuple[dict[str, Any], ...]
    seen_at: datetime
    preflights: tuple[dict[str, Any], ...] = ()
    error: SpecError | None = None
    changes_in: float | None = None
    claim: Claim | None = None


def observe(cache: Cache, key: Key, now: datetime | None = None) -> Observation | None:
    """Return what is known around `key`, or None when the ModelService is gone or being deleted."""
    record = cache.get(key.id)
    if record is None:
        return None
    body = record.body
    if body["metadata"].get("deletionTimestamp"):
        return None
    members = cache.of_parent(key)
    children = {(r.id.kind, r.id.name): r.body for r in members if r.id.kind in BY_KIND}
    pods = [r.body for r in members if r.id.kind == POD.kind]
    preflights = tuple(filter(is_preflight, pods))
    serving = tuple(pod for pod in pods if not is_preflight(pod))
    service, profile, error = _read(cache, body)
    changes_in, now = None, now or datetime.now(UTC)
    if service is not None and error is None:
        try:
            service, changes_in = follow_schedules(service, now)
        except SpecError as unreadable:
            error = unreadable
    claim = _claim_of(cache, key, body)
    return Observation(key, record, service, profile, children, serving, now, preflights, error, changes_in, claim)


def _claim_of(cache: Cache, key: Key, body: Mapping[str, Any]) -> Claim | None:
    name = claim_named_in(body.get("spec") or {})
    found = cache.get(ObjectId(CLAIM.kind, key.namespace, name)) if name else None
    return Claim(name, found.uid, tuple(found.body["spec"].get("accessModes") or ())) if found else None


def is_preflight(pod: Mapping[str, Any]) -> bool:
    """Whether a pod looked at a model, and is none of its servers."""
    return LABEL_PREFLIGHT in (pod["metadata"].get("labels") or {})


def _read(cache: Cache, body: dict[str, Any]) -> tuple[ModelService | None, RuntimeProfile | None, SpecError | None]:
    service = None
    try:
        service = read_service(body).model_copy(update={"status": body.get("status") or {}})
        return service, profile_of(cache, service), None
    except SpecError as error:
        return service, None, error


def profile_of(cache: Cache, service: ModelService) -> RuntimeProfile | None:
    """The profile that the service names, else the default one (the first by name, if several claim to be it)."""
    reference = service.spec.runtime.profile_ref
    if reference is not None:
        named = cache.get(ObjectId(RUNTIME_PROFILE.kind, "", reference.name))
        return None if named is None else read_profile(named.body)
    bodies = [record.body for record in cache.of_kind(RUNTIME_PROFILE.kind)]
    defaults = [body for body in bodies if (body.get("spec") or {}).get("default")]
    first = min(defaults, key=lambda body: str(body["metadata"]["name"]), default=None)
    return None if first is None else read_profile(first)
