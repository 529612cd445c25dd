"""For each field of the spec what a child has when the field is set, and would not have if the field were ignored.

`SERVICES` are ModelServices that set fields, a running operator acts on them, and `PROOFS` say where each field shows.
A path names a child and a place in it: items of lists and keys with dots stand in brackets, items by their position,
name or key. `settings` are those that the server reads, from the pod template; `alert NAME` is one alert as JSON.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

Spec = dict[str, Any]

PROFILE: Final = "fields"
PROFILE_IMAGE: Final = "profile.example/runtime:1"
PROFILE_SPEC: Final[Spec] = {"image": PROFILE_IMAGE, "allowRemoteCode": True}
BARE: Final = "bare"
"""The ModelService that sets nothing but its model."""
TIMEZONE: Final = "Etc/GMT-12"
"""Half a day before UTC, so that an hour of it is another one in UTC."""


@dataclass(frozen=True)
class Proof:
    """Fields, the ModelService that sets them, where they show, and what is there; of an alert, what is in its text."""

    fields: tuple[str, ...]
    service: str
    path: str
    value: Any


def _schedule(hours: tuple[int, int], timezone: str) -> Spec:
    """Four replicas between two hours, counted from this one in the time zone."""
    now = datetime.now(UTC).astimezone(ZoneInfo(timezone))
    start, end = ((now + timedelta(hours=hour)).hour for hour in hours)
    return {"start": f"0 {start} * * *", "end": f"0 {end} * * *", "timezone": timezone, "replicas": 4}


def _autoscaled(**block: Any) -> Spec:
    metrics = [{"type": "CPU", "target": "70%"}]
    return {"autoscaling": {"minReplicas": 2, "maxReplicas": 5, "metrics": metrics, **block}}


_TOLERATION = {"key": "team", "operator": "Equal", "value": "ai", "effect": "NoExecute", "tolerationSeconds": 60}
_AFFINITY = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}}
_SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
_PARENT = {"name": "public", "namespace": "gateways", "sectionName": "https"}
_PEER = {"namespaceSelector": {"matchLabels": {"team": "web"}}}
_GOLDEN = {"path": "/v1/completions", "body": '{"prompt": "a"}', "expect": "b", "timeoutSeconds": 9}

SERVICES: Final[dict[str, Spec]] = {
    BARE: {},
    "model": {
        "model": {
            "uri": "pvc://claim/tiny",
            "task": "chat",
            "servedName": "other",
            "adapters": [{"name": "fin", "uri": "hf://org/fin"}],
        }
    },
    "hub": {
        "model": {
            "uri": "hf://org/name",
            "revision": "v1",
            "secretRef": {"name": "hub-token"},
            "files": {"include": ["*.a"], "exclude": ["*.b"]},
        },
        "loader": {
            "resources": {"limits": {"memory": "3Gi"}, "requests": {"cpu": "3"}},
            "parallelism": 3,
            "startupBudgetSeconds": 77,
        },
    },
    "runtime": {
        "runtime": {
            "image": "own:1",
            "args": ["--flag"],
            "env": [
                {"name": "GREETING", "value": "hello"},
                {"name": "WORD", "valueFrom": {"configMapKeyRef": {"name": "words", "key": "hello"}}},
            ],
            "envFrom": [
                {"prefix": "P_", "configMapRef": {"name": "c", "optional": True}},
                {"secretRef": {"name": "s", "optional": True}},
            ],
            "engine": {
                "dtype": "bfloat16",
                "quantization": "int8",
                "maxContext": 123,
                "maxConcurrency": 7,
                "compile": True,
            },
        },
        "accelerator": {"count": 3, "product": "NVIDIA-L4"},
        "resources": {"limits": {"memory": "9Gi"}, "requests": {"cpu": "3"}},
        "termination": {"drainSeconds": 11},
        "rollout": {"verification": _GOLDEN},
        "security": {
            "serviceAccountName": "own",
            "apiKeySecretRef": {"name": "keys"},
            "imagePullSecrets": [{"name": "pull"}],
        },
        "podTemplate": {"spec": {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.1"]}}},
    },
    "placed": {
        "runtime": {"profileRef": {"name": PROFILE}},
        "accelerator": {"count": 1, "resource": "amd.com/gpu"},
        "scheduling": {
            "nodeSelector": {"pool": "ai"},
            "tolerations": [_TOLERATION],
            "affinity": _AFFINITY,
            "topologySpreadConstraints": [_SPREAD],
            "priorityClassName": "high",
            "runtimeClassName": "gpu",
            "schedulerName": "own",
        },
        "replicas": 3,
        "availability": {"minAvailable": 2},
        "rollout": {
            "strategy": "RollingUpdate",
            "maxSurge": 0,
            "maxUnavailable": 2,
            "progressDeadlineSeconds": 99,
        },
        "revisionHistoryLimit": 3,
    },
    "trusted": {
        "model": {"uri": f"hf://org/name@{'0' * 40}", "trustRemoteCode": True},
        "runtime": {"profileRef": {"name": PROFILE}},
    },
    "claimed": {
        "scheduling": {
            "resourceClaims": [
                {"name": "gpu", "resourceClaimName": "mine"},
                {"name": "nic", "resourceClaimTemplateName": "ours"},
            ]
        }
    },
    "scaled": _autoscaled(behavior={"scaleDown": {"stabilizationWindowSeconds": 7}}),
    "queried": _autoscaled(metrics=[{"type": "Custom", "target": "200", "query": "own_gauge"}]),
    "keda": _autoscaled(backend="KEDA"),
    "on-schedule": _autoscaled(schedules=[_schedule((-1, 3), TIMEZONE)]),
    "off-schedule": _autoscaled(schedules=[_schedule((-5, -2), "Etc/UTC")]),
    "recreated": {"rollout": {"strategy": "Recreate"}},
    "suspended": {"replicas": 2, "suspend": True},
    "routed": {
        "network": {
            "service": {"type": "NodePort", "port": 8000, "annotations": {"note": "x"}},
            "ingress": {"className": "nginx", "host": "chat.example.com", "tlsSecretName": "chat-tls"},
            "httpRoute": {"parentRefs": [_PARENT], "hostnames": ["chat.example.com"]},
            "networkPolicy": {"from": [_PEER]},
        },
        "observability": {
            "serviceMonitor": {"labels": {"release": "p"}, "interval": "7s"},
            "prometheusRule": {"labels": {"release": "q"}, "latencySeconds": 7, "errorPercent": 3},
            "dashboard": {"labels": {"board": "1"}, "folder": "Models"},
            "tracing": {"endpoint": "http://otel:4318"},
        },
    },
}

_TOLERATIONS = " ".join(f"scheduling.tolerations[].{key}" for key in _TOLERATION)
_SURGE = "rollout.maxSurge rollout.maxUnavailable"
_POD = "Deployment spec.template.spec"
_SERVER = f"{_POD}.containers[server]"
_FETCH = f"{_POD}.initContainers[fetch]"
_HPA = "HorizontalPodAutoscaler spec"
_ROWS: Final[tuple[tuple[str, str, str, Any], ...]] = (
    ("model.uri", "model", f"{_POD}.volumes[model].persistentVolumeClaim.claimName", "claim"),
    ("model.revision", "hub", f"{_FETCH}.args[3]", "--revision=v1"),
    ("model.task", "model", "settings model.task", "chat"),
    ("model.servedName", "model", "settings model.name", "other"),
    ("model.secretRef.name", "hub", f"{_FETCH}.env[HF_TOKEN].valueFrom.secretKeyRef.name", "hub-token"),
    ("model.files.include", "hub", f"{_FETCH}.args[4]", "--include=*.a"),
    ("model.files.exclude", "hub", f"{_FETCH}.args[5]", "--exclude=*.b"),
    ("model.adapters[].name", "model", "settings model.adapters[fin].name", "fin"),
    ("model.adapters[].uri", "model", f"{_POD}.initContainers[fetch-adapter-1].args[1]", "hf://org/fin"),
    ("model.trustRemoteCode", "trusted", "settings model.trust_remote_code", True),
    ("runtime.profileRef.name", "placed", f"{_SERVER}.image", PROFILE_IMAGE),
    ("runtime.image", "runtime", f"{_SERVER}.image", "own:1"),
    ("runtime.args", "runtime", f"{_SERVER}.args[1]", "--flag"),
    ("runtime.env[].name runtime.env[].value", "runtime", f"{_SERVER}.env[GREETING].value", "hello"),
    ("runtime.env[].valueFrom", "runtime", f"{_SERVER}.env[WORD].valueFrom.configMapKeyRef.name", "words"),
    ("runtime.envFrom[].prefix", "runtime", f"{_SERVER}.envFrom[0].prefix", "P_"),
    (
        "runtime.envFrom[].configMapRef.name runtime.envFrom[].configMapRef.optional",
        "runtime",
        f"{_SERVER}.envFrom[0].configMapRef",
        {"name": "c", "optional": True},
    ),
    (
        "runtime.envFrom[].secretRef.name runtime.envFrom[].secretRef.optional",
        "runtime",
        f"{_SERVER}.envFrom[1].secretRef",
        {"name": "s", "optional": True},
    ),
    ("runtime.engine.dtype", "runtime", "settings engine.dtype", "bfloat16"),
    ("runtime.engine.quantization", "runtime", "settings engine.quantization", "int8"),
    ("runtime.engine.maxContext", "runtime", "settings engine.max_context", 123),
    ("runtime.engine.maxConcurrency", "runtime", "settings engine.max_concurrency", 7),
    ("runtime.engine.compile", "runtime", "settings engine.compile", True),
    ("accelerator.count", "runtime", f"{_SERVER}.resources.limits[nvidia.com/gpu]", "3"),
    ("accelerator.resource", "placed", f"{_SERVER}.resources.limits[amd.com/gpu]", "1"),
    ("accelerator.product", "runtime", f"{_POD}.nodeSelector[nvidia.com/gpu.product]", "NVIDIA-L4"),
    ("resources.limits", "runtime", f"{_SERVER}.resources.limits.memory", "9Gi"),
    ("resources.requests", "runtime", f"{_SERVER}.resources.requests.cpu", "3"),
    ("loader.resources.limits", "hub", f"{_FETCH}.resources.limits.memory", "3Gi"),
    ("loader.resources.requests", "hub", f"{_FETCH}.resources.requests.cpu", "3"),
    ("loader.parallelism", "hub", f"{_FETCH}.args[6]", "--parallel=3"),
    ("loader.startupBudgetSeconds", "hub", f"{_SERVER}.startupProbe.failureThreshold", 77),
    ("termination.drainSeconds", "runtime", "settings lifecycle.drain_seconds", 11),
    ("scheduling.nodeSelector", "placed", f"{_POD}.nodeSelector.pool", "ai"),
    (
        " ".join(f"scheduling.tolerations[].{key}" for key in _TOLERATION),
        "placed",
        f"{_POD}.tolerations[team]",
        _TOLERATION,
    ),
    ("scheduling.affinity", "placed", f"{_POD}.affinity", _AFFINITY),
    ("scheduling.topologySpreadConstraints", "placed", f"{_POD}.topologySpreadConstraints[0].topologyKey", "zone"),
    ("scheduling.priorityClassName", "placed", f"{_POD}.priorityClassName", "high"),
    ("scheduling.runtimeClassName", "placed", f"{_POD}.runtimeClassName", "gpu"),
    ("scheduling.schedulerName", "placed", f"{_POD}.schedulerName", "own"),
    ("scheduling.resourceClaims[].name", "claimed", f"{_SERVER}.resources.claims[gpu].name", "gpu"),
    (
        "scheduling.resourceClaims[].resourceClaimName",
        "claimed",
        f"{_POD}.resourceClaims[gpu].resourceClaimName",
        "mine",
    ),
    (
        "scheduling.resourceClaims[].resourceClaimTemplateName",
        "claimed",
        f"{_POD}.resourceClaims[nic].resourceClaimTemplateName",
        "ours",
    ),
    ("replicas", "placed", "Deployment spec.replicas", 3),
    ("autoscaling.minReplicas", "scaled", f"{_HPA}.minReplicas", 2),
    ("autoscaling.maxReplicas", "scaled", f"{_HPA}.maxReplicas", 5),
    ("autoscaling.backend", "keda", "ScaledObject spec.maxReplicaCount", 5),
    ("autoscaling.metrics[].type", "scaled", f"{_HPA}.metrics[0].resource.name", "cpu"),
    ("autoscaling.metrics[].target", "scaled", f"{_HPA}.metrics[0].resource.target.averageUtilization", 70),
    ("autoscaling.metrics[].query", "queried", f"{_HPA}.metrics[0].pods.metric.name", "own_gauge"),
    ("autoscaling.behavior", "scaled", f"{_HPA}.behavior.scaleDown.stabilizationWindowSeconds", 7),
    (
        "autoscaling.schedules[].start autoscaling.schedules[].replicas autoscaling.schedules[].timezone",
        "on-schedule",
        f"{_HPA}.minReplicas",
        4,
    ),
    ("autoscaling.schedules[].end", "off-schedule", f"{_HPA}.minReplicas", 2),
    ("rollout.strategy", "recreated", "Deployment spec.strategy.type", "Recreate"),
    (
        "rollout.maxSurge rollout.maxUnavailable",
        "placed",
        "Deployment spec.strategy.rollingUpdate",
        {"maxSurge": 0, "maxUnavailable": 2},
    ),
    ("rollout.progressDeadlineSeconds", "placed", "Deployment spec.progressDeadlineSeconds", 99),
    ("rollout.verification.path", "runtime", "settings verification.path", _GOLDEN["path"]),
    ("rollout.verification.body", "runtime", "settings verification.body", _GOLDEN["body"]),
    ("rollout.verification.expect", "runtime", "settings verification.expect", _GOLDEN["expect"]),
    ("rollout.verification.timeoutSeconds", "runtime", "settings verification.timeout_seconds", 9),
    ("network.service.type", "routed", "Service spec.type", "NodePort"),
    ("network.service.port", "routed", "Service spec.ports[http].port", 8000),
    ("network.service.annotations", "routed", "Service metadata.annotations.note", "x"),
    ("network.ingress.className", "routed", "Ingress spec.ingressClassName", "nginx"),
    ("network.ingress.host", "routed", "Ingress spec.rules[0].host", "chat.example.com"),
    ("network.ingress.tlsSecretName", "routed", "Ingress spec.tls[0].secretName", "chat-tls"),
    ("network.httpRoute.parentRefs[].name", "routed", "HTTPRoute spec.parentRefs[0].name", "public"),
    ("network.httpRoute.parentRefs[].namespace", "routed", "HTTPRoute spec.parentRefs[0].namespace", "gateways"),
    ("network.httpRoute.parentRefs[].sectionName", "routed", "HTTPRoute spec.parentRefs[0].sectionName", "https"),
    ("network.httpRoute.hostnames", "routed", "HTTPRoute spec.hostnames[0]", "chat.example.com"),
    ("network.networkPolicy.from", "routed", "NetworkPolicy spec.ingress[0].from[0]", _PEER),
    ("security.serviceAccountName", "runtime", f"{_POD}.serviceAccountName", "own"),
    ("security.apiKeySecretRef.name", "runtime", f"{_POD}.volumes[api-keys].secret.secretName", "keys"),
    ("security.imagePullSecrets[].name", "runtime", f"{_POD}.imagePullSecrets[0].name", "pull"),
    ("availability.minAvailable", "placed", "PodDisruptionBudget spec.minAvailable", 2),
    ("observability.serviceMonitor.labels", "routed", "ServiceMonitor metadata.labels.release", "p"),
    ("observability.serviceMonitor.interval", "routed", "ServiceMonitor spec.endpoints[0].interval", "7s"),
    ("observability.prometheusRule.labels", "routed", "PrometheusRule metadata.labels.release", "q"),
    ("observability.prometheusRule.latencySeconds", "routed", "alert ModelServiceLatencyHigh", "> 7"),
    ("observability.prometheusRule.errorPercent", "routed", "alert ModelServiceErrorBudgetBurn", "3%"),
    ("observability.dashboard.labels", "routed", "ConfigMap metadata.labels.board", "1"),
    ("observability.dashboard.folder", "routed", "ConfigMap metadata.annotations.grafana_folder", "Models"),
    ("observability.tracing.endpoint", "routed", "settings observability.otlp_endpoint", "http://otel:4318"),
    ("podTemplate", "runtime", f"{_POD}.dnsConfig.nameservers[0]", "192.0.2.1"),
    ("revisionHistoryLimit", "placed", "Deployment spec.revisionHistoryLimit", 3),
    ("suspend", "suspended", "Deployment spec.replicas", 0),
)

PROOFS: Final = tuple(Proof(tuple(fields.split()), service, path, value) for fields, service, path, value in _ROWS)
