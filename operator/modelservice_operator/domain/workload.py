"""Values of the Deployment's template: containers, their environment, volumes."""

from collections.abc import Sequence
from typing import Any, Final

from ..api import contract, names
from ..api.v1alpha1 import ModelService, RuntimeProfile
from ..api.v1alpha1.fields import EnvVar
from ..api.v1alpha1.server import Server
from . import rollout
from .adapters import adapter_sources
from .api_keys import keys_mount, keys_volume
from .cache import in_cache
from .engine_metrics import metrics_page
from .engines import image_of, loader_image, server_command, server_of
from .facts import Facts
from .inspection import Inspection
from .placement import FETCH_REQUESTS, Placement, merge_resources
from .pod_template import pod_patch
from .source import Source, parallel_args, source_of
from .tracing import tracing_env

SETTINGS_VOLUME: Final = "settings"
SCRATCH_VOLUME: Final = "tmp"
SCRATCH_DIR: Final = "/tmp"  # noqa: S108

_DOWNWARD: Final = (
    ("POD_NAME", "metadata.name"),
    ("POD_NAMESPACE", "metadata.namespace"),
    ("NODE_NAME", "spec.nodeName"),
)


def deployment_values(
    service: ModelService,
    profile: RuntimeProfile | None,
    facts: Facts,
    placement: Placement,
    settings: str,
    found: Inspection | None = None,
) -> dict[str, Any]:
    """Everything that `deployment.yaml.j2` fills in, except the metadata and the number of replicas.

    `settings` is the server's settings file, `found` what a preflight knows of the model.
    """
    spec = service.spec
    policy, other = pull_policy_of(profile, facts), server_of(profile)
    resolved = found.resolved_revision if found else ""
    model = in_cache(source_of(service, policy, resolved), service, facts, resolved)
    sources = (model, *adapter_sources(service, policy))
    return {
        "revision_history_limit": spec.revision_history_limit,
        "progress_deadline_seconds": spec.rollout.progress_deadline_seconds,
        "strategy": rollout.strategy_of(service),
        "selector": names.selector_labels(service.metadata.name),
        "pod_labels": names.child_labels(service.metadata.name),
        "pod_annotations": _pod_annotations(other, settings),
        "service_account": spec.security.service_account_name or service.metadata.name,
        "image_pull_secrets": [{"name": secret.name} for secret in spec.security.image_pull_secrets],
        "image": image_of(service, profile, facts),
        "loader_image": loader_image(service, profile, facts),
        "image_pull_policy": policy,
        "server": _server(service, profile, placement, sources),
        "fetches": [
            _fetch(service, profile, source, names.fetch_container(number))
            for number, source in enumerate(sources)
            if source.fetch_args
        ],
        "volumes": _volumes(service, sources, is_ours=other is None),
        "scheduling": _scheduling(service, placement),
        "grace_seconds": rollout.grace_seconds(service),
        "endpoint_seconds": rollout.ENDPOINT_SECONDS,
        "pod_template": pod_patch(service),
        "probes": {
            **_probes(other),
            "startup_period": rollout.STARTUP_PERIOD_SECONDS,
            "startup_failures": rollout.startup_failures(service, found.size_bytes if found else 0),
        },
    }


def pull_policy_of(profile: RuntimeProfile | None, facts: Facts) -> str:
    """When images are pulled: the profile's policy, else the operator's."""
    return (profile.spec.image_pull_policy if profile else None) or facts.image_pull_policy


def _server(
    service: ModelService, profile: RuntimeProfile | None, placement: Placement, sources: Sequence[Source]
) -> dict[str, Any]:
    other = server_of(profile)
    settings_dir = contract.SETTINGS_PATH.rpartition("/")[0]
    settings = {"name": SETTINGS_VOLUME, "mountPath": settings_dir, "readOnly": True}
    command, args = [contract.RUNTIME_COMMAND], ["serve", *service.spec.runtime.args]
    ports = {"http": contract.INFERENCE_PORT, "admin": contract.ADMIN_PORT}
    if other:
        command, args = server_command(service, other, placement)
        page = metrics_page(other)
        ports = {"http": other.port, **({page.name: page.port} if page else {})}
    return {
        "name": names.SERVER_CONTAINER,
        "command": command,
        "args": args,
        "env": container_env(service, profile),
        "env_from": [entry.manifest() for entry in service.spec.runtime.env_from],
        "resources": placement.resources,
        "ports": ports,
        "mounts": [
            *(source.mount for source in sources),
            *([] if other else [settings]),
            {"name": SCRATCH_VOLUME, "mountPath": SCRATCH_DIR},
            *keys_mount(service),
        ],
    }


def _pod_annotations(server: Server | None, settings: str) -> dict[str, str]:
    """What a pod of ours is told, and what one of another make tells the metrics adapter."""
    if server is None:
        return {names.SETTINGS: settings}
    page = metrics_page(server)
    return {names.METRICS: page.mark} if page else {}


def _probes(server: Server | None) -> dict[str, str]:
    """Port and paths of the probes."""
    if server is None:
        paths, port = (contract.STARTUPZ_PATH, contract.READYZ_PATH, contract.LIVEZ_PATH), "admin"
    else:
        paths, port = (server.probes.startup, server.probes.readiness, server.probes.liveness), "http"
    return {"port": port, **dict(zip(("startup_path", "readiness_path", "liveness_path"), paths, strict=True))}


def _fetch(service: ModelService, profile: RuntimeProfile | None, source: Source, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "command": [contract.RUNTIME_COMMAND],
        "args": [*source.fetch_args, *parallel_args(service)],
        "env": container_env(service, profile, source.fetch_env),
        "env_from": [*(entry.manifest() for entry in service.spec.runtime.env_from), *source.fetch_env_from],
        "resources": merge_resources(FETCH_REQUESTS, service.spec.loader.resources),
        "mounts": [
            source.fetch_mount,
            {"name": SCRATCH_VOLUME, "mountPath": SCRATCH_DIR},
        ],
    }


def container_env(
    service: ModelService, profile: RuntimeProfile | None, credentials: tuple[dict[str, Any], ...] = ()
) -> list[dict[str, Any]]:
    """Our variables, then the profile's, the user's and the credentials; of one name the last wins."""
    ours: list[dict[str, Any]] = [{"name": "HOME", "value": SCRATCH_DIR}]
    ours += [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in _DOWNWARD]
    ours += tracing_env(service)
    given = [*(profile.spec.env if profile else []), *service.spec.runtime.env]
    entries = [*ours, *map(_variable, given), *credentials]
    return list({entry["name"]: entry for entry in entries}.values())


def _variable(variable: EnvVar) -> dict[str, Any]:
    if variable.value_from:
        return {"name": variable.name, "valueFrom": variable.value_from}
    return {"name": variable.name, "value": variable.value}


def _volumes(service: ModelService, sources: Sequence[Source], *, is_ours: bool) -> list[dict[str, Any]]:
    field = {"fieldPath": f"metadata.annotations['{names.SETTINGS}']"}
    file = {"path": contract.SETTINGS_PATH.rpartition("/")[2], "fieldRef": field}
    return [
        *(source.volume for source in sources),
        *([{"name": SETTINGS_VOLUME, "downwardAPI": {"items": [file]}}] if is_ours else []),
        {"name": SCRATCH_VOLUME, "emptyDir": {}},
        *keys_volume(service),
    ]


def _scheduling(service: ModelService, placement: Placement) -> dict[str, Any]:
    """The fields of a pod's spec that say where it runs; what is not asked for is left out."""
    scheduling = service.spec.scheduling
    fields: dict[str, Any] = {
        "nodeSelector": placement.node_selector,
        "tolerations": list(placement.tolerations),
        "affinity": scheduling.affinity,
        "topologySpreadConstraints": scheduling.topology_spread_constraints,
        "runtimeClassName": placement.runtime_class,
        "priorityClassName": placement.priority_class,
        "schedulerName": scheduling.scheduler_name,
        "resourceClaims": list(placement.claims),
    }
    return {name: value for name, value in fields.items() if value}
