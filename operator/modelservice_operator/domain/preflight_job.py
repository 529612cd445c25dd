"""Values of the Job that looks at a model before any pod of it is made.

A Job's pod template cannot change, so the Job's name holds a digest of all that it is made of, and of the spec's
generation: whatever changes makes another Job.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..api import contract, names
from ..api.v1alpha1 import ModelService, RuntimeProfile
from ..api.v1alpha1.fields import Resources
from .engines import loader_image
from .facts import Facts
from .placement import FETCH_REQUESTS, merge_resources, place
from .pod_template import pod_patch
from .source import inspect_args, source_of
from .workload import SCRATCH_DIR, SCRATCH_VOLUME, container_env, pull_policy_of

_EVERYWHERE: Final = ("kubernetes.io/arch", "kubernetes.io/os")
"""Node labels that bind the image. The others choose accelerators, which a preflight does not need."""

_SHARED: Final = ("hostAliases", "dnsPolicy", "dnsConfig", "imagePullSecrets")
"""Fields of spec.podTemplate that decide whether a source can be reached."""


@dataclass(frozen=True, slots=True)
class PreflightJob:
    """The Job's name, and what fills its template."""

    name: str
    values: dict[str, Any] = field(hash=False)


def preflight_job(service: ModelService, profile: RuntimeProfile | None, facts: Facts) -> PreflightJob:
    """The Job that inspects the model of a service as its fetch container would reach it."""
    values = _values(service, profile, facts)
    asked = [values, service.metadata.generation, service.metadata.annotations.get(names.PREFLIGHT, "")]
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:6]
    return PreflightJob(names.preflight_name(service.metadata.name, digest), values)


def _values(service: ModelService, profile: RuntimeProfile | None, facts: Facts) -> dict[str, Any]:
    placement = place(service, profile)
    patch = _patch(service)
    selector = {key: value for key, value in placement.node_selector.items() if key in _EVERYWHERE}
    scheduling = {"nodeSelector": selector, "tolerations": list(placement.tolerations)}
    return {
        "pod_labels": names.preflight_labels(service.metadata.name),
        "service_account": service.spec.security.service_account_name or service.metadata.name,
        "image_pull_secrets": [{"name": secret.name} for secret in service.spec.security.image_pull_secrets],
        "image": loader_image(service, profile, facts),
        "image_pull_policy": pull_policy_of(profile, facts),
        "container": _container(service, profile),
        "scheduling": {key: value for key, value in scheduling.items() if value},
        "volumes": [{"name": SCRATCH_VOLUME, "emptyDir": {}}],
        **({"pod_template": patch} if patch else {}),
    }


def _container(service: ModelService, profile: RuntimeProfile | None) -> dict[str, Any]:
    source = source_of(service, "")
    return {
        "name": names.PREFLIGHT_CONTAINER,
        "command": [contract.RUNTIME_COMMAND],
        "args": list(inspect_args(service)),
        "env": container_env(service, profile, source.fetch_env),
        "env_from": [*(entry.manifest() for entry in service.spec.runtime.env_from), *source.fetch_env_from],
        "resources": merge_resources(FETCH_REQUESTS, _small(service.spec.loader.resources)),
        "mounts": [{"name": SCRATCH_VOLUME, "mountPath": SCRATCH_DIR}],
    }


def _small(resources: Resources) -> Resources:
    """The loader's CPU and memory; its disk is for the weights, which are not brought."""
    wanted = {
        kind: {name: value for name, value in quantities.items() if name in ("cpu", "memory")}
        for kind, quantities in (("requests", resources.requests), ("limits", resources.limits))
    }
    return Resources.model_validate(wanted)


def _patch(service: ModelService) -> dict[str, Any]:
    """What spec.podTemplate does to the fetch container, and to the network, done to the preflight."""
    pod: Mapping[str, Any] = pod_patch(service).get("spec") or {}
    spec = {key: pod[key] for key in _SHARED if key in pod}
    fetch = next((entry for entry in pod.get("initContainers", []) if entry["name"] == names.FETCH_CONTAINER), None)
    if fetch is not None:
        mounted = {mount.get("name") for mount in fetch.get("volumeMounts", [])}
        spec["containers"] = [{**fetch, "name": names.PREFLIGHT_CONTAINER}]
        spec["volumes"] = [volume for volume in pod.get("volumes", []) if volume["name"] in mounted]
    return {"spec": spec} if spec else {}
