"""Jobs that empty a cache after a ModelService is gone: prepared while it is there, suspended, and let go afterwards.

A ModelService has no finalizer, so its deletion never waits for the operator, and an operator that was away meanwhile
finds the Jobs and goes on. They belong to the claim of the cache and not to the ModelService, which would take them
along. A cache on nodes needs one Job for each node where a pod was seen.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..api import contract, kinds, names
from ..api.v1alpha1 import ModelService, RuntimeProfile
from .cache import uses_cache
from .engines import loader_image
from .facts import ChildSpec, Claim, Facts
from .placement import FETCH_REQUESTS, merge_resources, place
from .tree import Tree, branch, text
from .workload import SCRATCH_DIR, SCRATCH_VOLUME, pull_policy_of

_CACHE_VOLUME: Final = "cache"
_DEADLINE_SECONDS: Final = 900
"""How long a Job may take once it is let go; on a node that is gone it never runs."""
_RETRIES: Final = 6


def is_collecting(service: ModelService) -> bool:
    """Whether the files of a ModelService are removed when it is deleted."""
    return service.spec.deletion_policy == "Delete"


def collectors(
    service: ModelService, profile: RuntimeProfile | None, facts: Facts, nodes: Iterable[str]
) -> tuple[ChildSpec, ...]:
    """The Jobs that there should be. `nodes` are those where pods of the service are now."""
    if not uses_cache(service) or not is_collecting(service) or facts.claim is None:
        return ()
    places = sorted(set(nodes)) if service.spec.cache.strategy == "Node" else [""]
    return tuple(_collector(service, profile, facts, facts.claim, node) for node in places)


def is_collector(job: Tree) -> bool:
    """Whether a Job empties a cache."""
    return names.LABEL_COLLECTOR in branch(job, "metadata", "labels")


def is_waiting(job: Tree) -> bool:
    """Whether a Job is suspended until its ModelService is gone."""
    return branch(job, "spec").get("suspend") is True


def is_outdated(job: Tree, service: ModelService) -> bool:
    """Whether a waiting Job is of no use: of an earlier ModelService of that name, or of files that are kept."""
    owner = text(branch(job, "metadata", "labels"), names.LABEL_COLLECTOR)
    return is_waiting(job) and (owner != service.metadata.uid or not is_collecting(service))


def let_go(job: Tree) -> dict[str, Any]:
    """The manifest of a waiting Job that is to run now; with its uid, so that none comes of it that is gone."""
    metadata = branch(job, "metadata")
    kept = ("name", "namespace", "uid", "labels", "annotations", "ownerReferences")
    return {
        "apiVersion": kinds.JOB.api_version,
        "kind": kinds.JOB.kind,
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {**branch(job, "spec"), "suspend": False},
    }


def _collector(
    service: ModelService, profile: RuntimeProfile | None, facts: Facts, claim: Claim, node: str
) -> ChildSpec:
    name, uid = service.metadata.name, service.metadata.uid
    digest = hashlib.sha256(json.dumps([uid, claim.uid, node]).encode()).hexdigest()[:6]
    job = names.collector_name(name, digest)
    owner = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": claim.name, "uid": claim.uid}
    metadata = {
        "name": job,
        "namespace": service.metadata.namespace,
        "labels": {**names.child_labels(name), names.LABEL_COLLECTOR: uid},
        "annotations": {},
        "owner": {**owner, "controller": False, "blockOwnerDeletion": False},
    }
    values = {
        "metadata": metadata,
        "suspend": True,
        "backoff_limit": _RETRIES,
        "deadline_seconds": _DEADLINE_SECONDS,
        "pod_labels": names.collector_labels(name, uid),
        "service_account": "default",
        "image_pull_secrets": [{"name": secret.name} for secret in service.spec.security.image_pull_secrets],
        "image": loader_image(service, profile, facts),
        "image_pull_policy": pull_policy_of(profile, facts),
        "container": _container(service),
        "scheduling": _scheduling(service, profile, node),
        "volumes": [
            {"name": _CACHE_VOLUME, "persistentVolumeClaim": {"claimName": claim.name}},
            {"name": SCRATCH_VOLUME, "emptyDir": {}},
        ],
    }
    return ChildSpec(kinds.JOB, job, "job.yaml.j2", values)


def _container(service: ModelService) -> dict[str, Any]:
    return {
        "name": names.COLLECT_CONTAINER,
        "command": [contract.RUNTIME_COMMAND],
        "args": ["collect", contract.CACHE_DIR, service.metadata.name],
        "env": [{"name": "HOME", "value": SCRATCH_DIR}],
        "env_from": [],
        "resources": merge_resources(FETCH_REQUESTS),
        "mounts": [
            {"name": _CACHE_VOLUME, "mountPath": contract.CACHE_DIR},
            {"name": SCRATCH_VOLUME, "mountPath": SCRATCH_DIR},
        ],
    }


def _scheduling(service: ModelService, profile: RuntimeProfile | None, node: str) -> Mapping[str, Any]:
    """On the node, whatever else the model's pods ask of one; its taints are tolerated as they do."""
    tolerations = list(place(service, profile).tolerations)
    fields: dict[str, Any] = {"tolerations": tolerations} if tolerations else {}
    if node:
        here = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
        needed = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [here]}}
        fields["affinity"] = {"nodeAffinity": needed}
    return fields
