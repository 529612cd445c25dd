"""spec.podTemplate: what a user may merge into the pod template, and what belongs to the operator.

What the status, the probes and the contract with the runtime rest on cannot be overridden; most of it has a field of
its own, which the refusal names. All else is the API server's to judge, when the Deployment is applied.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..api.contract import CACHE_DIR, SETTINGS_PATH
from ..api.names import GROUP, SERVER_CONTAINER, child_labels, is_fetch_container
from ..api.reasons import Reason
from ..api.v1alpha1 import ModelService
from .adapters import ADAPTERS_DIR
from .api_keys import KEYS_DIR, KEYS_VOLUME
from .errors import SpecError
from .source import MODEL_VOLUME, model_dir

_ROOT: Final = "spec.podTemplate"
_METADATA: Final = ("labels", "annotations")
_POD: Final = {
    "serviceAccountName": "spec.security.serviceAccountName",
    "serviceAccount": "spec.security.serviceAccountName",
    "terminationGracePeriodSeconds": "spec.termination.drainSeconds",
    "restartPolicy": "",
}
_CONTAINER: Final = {
    "image": "spec.runtime.image",
    "args": "spec.runtime.args",
    "resources": "spec.resources and spec.loader.resources",
    "startupProbe": "spec.loader.startupBudgetSeconds",
    **dict.fromkeys(("command", "ports", "readinessProbe", "livenessProbe", "lifecycle"), ""),
    **dict.fromkeys(("terminationMessagePath", "terminationMessagePolicy"), ""),
}


def pod_patch(service: ModelService) -> Mapping[str, Any]:
    """What is merged into the pod template last; empty when nothing is. Raises SpecError for what is the operator's."""
    patch = service.spec.pod_template or {}
    for field, instead in _problems(service, patch):
        way_out = f"use {instead}" if instead else "remove it"
        message = f"belongs to the operator and cannot be overridden; {way_out}"
        raise SpecError(Reason.INVALID_SPEC, f"{_ROOT}.{field}", message)
    return patch


def _problems(service: ModelService, patch: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Fields that are refused, each with the field to use instead."""
    yield from ((key, "metadata and spec") for key in patch if key not in ("metadata", "spec"))
    yield from _metadata_problems(service, _map(patch, "metadata"))
    pod = _map(patch, "spec")
    yield from ((f"spec.{key}", instead) for key, instead in _POD.items() if key in pod)
    for key in ("containers", "initContainers"):
        for container in _list(pod, key):
            yield from _container_problems(service, container, f"spec.{key}[{container['name']}]")
    for volume in _list(pod, "volumes"):
        if volume["name"] in (MODEL_VOLUME, "settings", KEYS_VOLUME) or volume["name"].startswith("adapter-"):
            yield f"spec.volumes[{volume['name']}]", ""


def _metadata_problems(service: ModelService, metadata: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    own = child_labels(service.metadata.name)
    yield from (
        (f"metadata.{key}", "metadata.labels and metadata.annotations") for key in metadata if key not in _METADATA
    )
    for field in _METADATA:
        for key in _map(metadata, field):
            if key in own or key.startswith(f"{GROUP}/"):
                yield f"metadata.{field}[{key}]", ""


def _container_problems(service: ModelService, container: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    if container["name"] != SERVER_CONTAINER and not is_fetch_container(container["name"]):
        return
    if "$patch" in container:
        yield path, ""
    yield from ((f"{path}.{key}", instead) for key, instead in _CONTAINER.items() if key in container)
    taken = (model_dir(service), CACHE_DIR, ADAPTERS_DIR, SETTINGS_PATH.rpartition("/")[0], KEYS_DIR)
    for mount in _list(container, "volumeMounts", "mountPath"):
        where = mount["mountPath"].rstrip("/")
        if any(where == folder or where.startswith(f"{folder}/") for folder in taken):
            yield f"{path}.volumeMounts[{where}]", ""


def _map(source: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The object under a key. Raises SpecError for anything else: a null would take away what is the operator's."""
    found = source.get(key, {})
    if not isinstance(found, Mapping):
        raise SpecError(Reason.INVALID_SPEC, _ROOT, f"{key} must be an object, as in a pod template")
    return found


def _list(source: Mapping[str, Any], key: str, by: str = "name") -> list[Mapping[str, Any]]:
    """The objects in a list under a key. Raises SpecError for anything else, for the same reason."""
    found = source.get(key, [])
    if isinstance(found, list) and all(isinstance(item, Mapping) and isinstance(item.get(by), str) for item in found):
        return found
    raise SpecError(Reason.INVALID_SPEC, _ROOT, f"{key} must be a list of objects that each have the key {by}")
