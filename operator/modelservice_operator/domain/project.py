"""Projection: what the cache keeps of a live object. The rest is dropped the moment it arrives.

Most of an object's memory is `metadata.managedFields`, a copy of an earlier manifest in an annotation, and, for pods, a
spec that repeats the Deployment's. What is kept is what plan, status and diagnosis read.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..api.kinds import DEPLOYMENT, ChildKind
from ..api.names import FIELD_MANAGER
from .tree import branch, items

OWNS_REPLICAS: Final = "ownsReplicas"
"""Key that a projected Deployment has when spec.replicas is owned by our field manager."""

_COPIES: Final = ("kubectl.kubernetes.io/last-applied-configuration",)
_METADATA: Final = (
    "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "labels",
)  # fmt: skip
_POD_STATUS: Final = (
    "phase", "reason", "message", "podIP", "startTime", "conditions", "containerStatuses", "initContainerStatuses",
    "resourceClaimStatuses",
)  # fmt: skip
_CLAIM: Final = ("accessModes",)
_CONTAINER: Final = ("name", "image", "resources")
_CONTAINER_STATUS: Final = ("name", "ready", "started", "restartCount", "state", "lastState", "image", "imageID")


def project(kind: ChildKind | str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a live object that is kept. The input is not changed, and may share parts with the result."""
    name = kind if isinstance(kind, str) else kind.kind
    if name == "Pod":
        return _project_pod(body)
    if name == "PersistentVolumeClaim":
        return {"metadata": _pick(branch(body, "metadata"), _METADATA), "spec": _pick(branch(body, "spec"), _CLAIM)}
    kept = {key: value for key, value in body.items() if key not in ("metadata", "apiVersion", "kind")}
    kept["metadata"] = _project_metadata(branch(body, "metadata"))
    if name == DEPLOYMENT.kind and _owns_replicas(branch(body, "metadata")):
        kept[OWNS_REPLICAS] = True
    return kept


def _project_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    kept = _pick(metadata, (*_METADATA, "ownerReferences"))
    annotations = {key: text for key, text in branch(metadata, "annotations").items() if key not in _COPIES}
    return {**kept, "annotations": annotations} if annotations else kept


def _project_pod(body: Mapping[str, Any]) -> dict[str, Any]:
    metadata, spec, status = (branch(body, key) for key in ("metadata", "spec", "status"))
    owners = [_pick(owner, ("kind", "name", "uid", "controller")) for owner in items(metadata, "ownerReferences")]
    kept_spec: dict[str, Any] = _pick(spec, ("nodeName", "resourceClaims"))
    for key in ("containers", "initContainers"):
        kept_spec[key] = [_pick(container, _CONTAINER) for container in items(spec, key)]
    secrets = [_pick(volume, ("name", "secret")) for volume in items(spec, "volumes") if "secret" in volume]
    if secrets:
        kept_spec["volumes"] = secrets
    kept_status = _pick(status, _POD_STATUS)
    for key in ("containerStatuses", "initContainerStatuses"):
        if key in kept_status:
            kept_status[key] = [_pick(entry, _CONTAINER_STATUS) for entry in items(status, key)]
    return {
        "metadata": {**_pick(metadata, _METADATA), "ownerReferences": owners},
        "spec": kept_spec,
        "status": kept_status,
    }


def _owns_replicas(metadata: Mapping[str, Any]) -> bool:
    """Whether our last apply set spec.replicas and no one has set it to another value since."""
    for entry in items(metadata, "managedFields"):
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply":
            return "f:replicas" in branch(entry, "fieldsV1", "f:spec")
    return False


def _pick(source: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    return {key: source[key] for key in keys if key in source}
