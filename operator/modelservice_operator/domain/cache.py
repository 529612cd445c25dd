"""spec.cache: where the files of a model are kept between pods, and whether that place can be used.

Node and Shared differ only in the volume behind the claim: a folder of the node's disk, which the owner of the cluster
prepares for each namespace, or a volume that all nodes mount. Either way the pods name a PersistentVolumeClaim, which
the restricted pod security standard allows, and a cache never reaches beyond its namespace: what one team fetched with
its token no other team can read, or replace.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from ..api.contract import CACHE_DIR
from ..api.names import NODE_CACHE_CLAIM
from ..api.reasons import Reason
from ..api.uri import ModelUri
from ..api.v1alpha1 import ModelService
from .errors import SpecError
from .facts import Claim, Facts
from .rollout import wanted_replicas
from .source import MODEL_VOLUME, Source

_MANY: Final = "ReadWriteMany"
_MODELS: Final = "models"
_COMMIT: Final = re.compile("[0-9a-f]{40}")


def claim_named_in(spec: Mapping[str, Any]) -> str:
    """The claim of the cache that a spec, as its manifest has it, asks for; empty without a cache."""
    cache = spec.get("cache") or {}
    return {"Node": NODE_CACHE_CLAIM, "Shared": str(cache.get("claimName") or "")}.get(cache.get("strategy") or "", "")


def uses_cache(service: ModelService) -> bool:
    """Whether the model's files are kept in a cache."""
    return service.spec.cache.strategy != "None"


def require_cache(service: ModelService, facts: Facts, resolved: str, *, is_looked_up: bool) -> None:
    """Raise SpecError when the cache that is asked for cannot be used. `resolved` is what a preflight found.

    `is_looked_up` says that no preflight will tell more of the revision.
    """
    if not uses_cache(service):
        return
    _require_shared(service, _require_claim(service, facts))
    if is_looked_up and wanted_replicas(service) != 0 and not _revision(service, resolved):
        raise SpecError(Reason.INVALID_SPEC, "spec.cache.strategy", _unknown_revision(service))


def in_cache(source: Source, service: ModelService, facts: Facts, resolved: str) -> Source:
    """The source with its files in the cache: the fetch container sees all of it, the server its own model only.

    Without an immutable revision there are no pods, and the source stays as it is.
    """
    revision = _revision(service, resolved)
    if not uses_cache(service) or not source.fetch_args or facts.claim is None or not revision:
        return source
    place = f"{_MODELS}/{_key(service, revision)}"
    command, address, _, *options = source.fetch_args
    deadline = service.spec.rollout.progress_deadline_seconds
    shared = (f"--cache-user={service.metadata.name}", f"--deadline={deadline}")
    return replace(
        source,
        volume={"name": MODEL_VOLUME, "persistentVolumeClaim": {"claimName": facts.claim.name}},
        mount={**source.mount, "subPath": place},
        fetch_mount={"name": MODEL_VOLUME, "mountPath": CACHE_DIR},
        fetch_args=(command, address, f"{CACHE_DIR}/{place}", *options, *shared),
    )


def _key(service: ModelService, revision: str) -> str:
    """What stands for the files: where they come from, which version, and which of them; the same for every service."""
    model = service.spec.model
    uri = ModelUri.parse(model.uri)
    files = [sorted(model.files.include), sorted(model.files.exclude)] if model.files else [[], []]
    asked = [uri.scheme, uri.location, uri.path, revision, *files]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:40]


def _revision(service: ModelService, resolved: str) -> str:
    """The immutable revision: what a preflight found, else what the address itself fixes; empty without one."""
    model = service.spec.model
    uri = ModelUri.parse(model.uri)
    given = model.revision or uri.revision
    fixed = given if _COMMIT.fullmatch(given) else uri.path.partition("#sha256=")[2]
    return resolved or fixed


def _unknown_revision(service: ModelService) -> str:
    if ModelUri.parse(service.spec.model.uri).scheme == "https":
        return (
            "keeps only what cannot change, and nothing says which version is behind the address; end "
            "spec.model.uri with #sha256= and the digest of the file, or remove spec.cache"
        )
    return (
        "keeps only what cannot change, and without a preflight the revision is not known; remove the annotation "
        "modelservice.dev/preflight, give spec.model.revision the full commit, or remove spec.cache"
    )


def _require_claim(service: ModelService, facts: Facts) -> Claim:
    if facts.claim is not None:
        return facts.claim
    cache = service.spec.cache
    if cache.strategy == "Shared":
        field, name = "spec.cache.claimName", cache.claim_name
        way_out = "create it with the access mode ReadWriteMany, or correct the name"
    else:
        field, name = "spec.cache.strategy", NODE_CACHE_CLAIM
        way_out = "ask the owner of the cluster to add the namespace to nodeCache.namespaces of the operator's chart"
    message = f"PersistentVolumeClaim {name!r} does not exist in namespace {service.metadata.namespace}; {way_out}"
    raise SpecError(Reason.CACHE_CLAIM_NOT_FOUND, field, message)


def _require_shared(service: ModelService, claim: Claim) -> None:
    """A claim for one node suffices for one pod that is gone before the next one comes."""
    is_single = _most_replicas(service) == 1 and service.spec.rollout.strategy == "Recreate"
    if service.spec.cache.strategy == "Node" or _MANY in claim.access_modes or is_single:
        return
    message = (
        f"PersistentVolumeClaim {claim.name!r} has the access modes {', '.join(claim.access_modes) or 'none'}, and "
        f"several pods may need it at once; use one with {_MANY}, or one replica with spec.rollout.strategy: Recreate"
    )
    raise SpecError(Reason.CACHE_CLAIM_NOT_SHARED, "spec.cache.claimName", message)


def _most_replicas(service: ModelService) -> int:
    """The most replicas that there may be; 0 when nobody has said it."""
    block = service.spec.autoscaling
    if block is not None:
        return block.max_replicas or 0
    return 1 if service.spec.replicas is None else max(1, service.spec.replicas)
