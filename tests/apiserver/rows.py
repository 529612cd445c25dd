"""The validation table: objects, and what must be said about them.

A row without a field is accepted. A row with one is refused, and the refusal must name that field and hold the words,
which are the way out.
"""

from dataclasses import dataclass
from typing import Any

HF = "hf://org/name"
OCI = "oci://localhost/models/demo-chat:dev"


@dataclass(frozen=True)
class Row:
    """One object and the verdict on it."""

    title: str
    manifest: dict[str, Any]
    field: str = ""
    words: str = ""

    @property
    def is_valid(self) -> bool:
        return not self.field


def steps(*weights: int) -> list[dict[str, int]]:
    """The steps of a canary with these weights."""
    return [{"weight": weight, "pauseSeconds": 300} for weight in weights]


def service(*, name: str = "chat", uri: str = HF, model: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "modelservice.dev/v1alpha1",
        "kind": "ModelService",
        "metadata": {"name": name},
        "spec": {"model": {"uri": uri, **(model or {})}, **spec},
    }


def profile(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "modelservice.dev/v1alpha1",
        "kind": "RuntimeProfile",
        "metadata": {"name": "gpu"},
        "spec": spec,
    }


def _scheduled(backend: str = "HPA", maxReplicas: int | None = 4, **change: Any) -> dict[str, Any]:  # noqa: N803
    schedule = {"start": "0 8 * * 1-5", "end": "0 18 * * 1-5", "replicas": 2, **change}
    return service(autoscaling={"backend": backend, "maxReplicas": maxReplicas, "schedules": [schedule]})


EVERYTHING = service(
    model={
        "revision": "main",
        "task": "chat",
        "servedName": "Qwen/Qwen2.5",
        "secretRef": {"name": "hub-token"},
        "files": {"include": ["*.safetensors"], "exclude": ["*.bin"]},
        "adapters": [{"name": "fin", "uri": "hf://org/fin@main"}, {"name": "law", "uri": "pvc://adapters/law"}],
        "trustRemoteCode": False,
    },
    runtime={
        "profileRef": {"name": "nvidia-l4"},
        "image": "registry.example.com:5000/team/runtime:1.2",
        "args": ["--log-level=debug"],
        "env": [
            {"name": "HF_ENDPOINT", "value": "https://mirror.example.com"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
        ],
        "envFrom": [
            {"configMapRef": {"name": "settings"}},
            {"prefix": "S_", "secretRef": {"name": "s", "optional": True}},
        ],
        "engine": {"dtype": "auto", "quantization": "none", "maxContext": 8192, "maxConcurrency": 64, "compile": False},
    },
    accelerator={"count": 1, "resource": "nvidia.com/gpu", "product": "NVIDIA-L4"},
    resources={"limits": {"memory": "16Gi", "cpu": 4}, "requests": {"cpu": "500m", "memory": "1.5Gi"}},
    scheduling={
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
        "priorityClassName": "high",
        "runtimeClassName": "nvidia",
        "schedulerName": "",
        "resourceClaims": [
            {"name": "gpu", "resourceClaimTemplateName": "one-gpu"},
            {"name": "nic", "resourceClaimName": "shared-nic"},
        ],
    },
    autoscaling={
        "minReplicas": 1,
        "maxReplicas": 4,
        "backend": "HPA",
        "metrics": [{"type": "CPU", "target": "80%"}, {"type": "Memory", "target": "8Gi"}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
        "schedules": [],
    },
    cache={"strategy": "None"},
    loader={"resources": {"limits": {"memory": "2Gi"}}, "parallelism": 8, "startupBudgetSeconds": 600},
    rollout={
        "strategy": "Auto",
        "maxSurge": 0,
        "maxUnavailable": 1,
        "progressDeadlineSeconds": 1800,
        "autoRollback": True,
        "verification": {"path": "/v1/completions?a=b", "body": "{}", "expect": "Paris", "timeoutSeconds": 30},
    },
    termination={"drainSeconds": 45},
    network={
        "service": {"type": "LoadBalancer", "port": 8080, "annotations": {"a/b": "c"}},
        "ingress": {"className": "nginx", "host": "chat.example.com", "tlsSecretName": "chat-tls"},
        "httpRoute": {"parentRefs": [{"name": "public", "namespace": "infra"}], "hostnames": ["chat.example.com"]},
        "networkPolicy": {"from": [{"podSelector": {}}]},
    },
    security={
        "serviceAccountName": "runner",
        "apiKeySecretRef": {"name": "keys"},
        "imagePullSecrets": [{"name": "registry"}],
    },
    availability={"minAvailable": "50%"},
    observability={
        "serviceMonitor": {"labels": {"release": "prometheus"}, "interval": "15s"},
        "prometheusRule": {"labels": {"release": "prometheus"}, "latencySeconds": 10, "errorPercent": 5},
        "dashboard": {"labels": {"grafana_dashboard": "1"}, "folder": "Models"},
        "tracing": {"endpoint": "http://otel-collector.monitoring:4318"},
    },
    podTemplate={
        "metadata": {"annotations": {"a": "b"}},
        "spec": {"containers": [{"name": "proxy", "image": "proxy:1"}]},
    },
    revisionHistoryLimit=5,
    suspend=False,
    deletionPolicy="Delete",
)

VALID = (
    Row("the smallest useful object", service()),
    Row("every block that works", EVERYTHING),
    Row(
        "a revision in the URI", service(uri="hf://Qwen/Qwen2.5-0.5B-Instruct@7ae557604adf67be50417f59c2c2f167def9a775")
    ),
    Row("files on a web server", service(uri="https://models.example.com:8443/a/model.tar?x=1")),
    Row("a whole volume", service(uri="pvc://models")),
    Row("a folder of a volume", service(uri="pvc://models/team/chat/")),
    Row("an image with a tag", service(uri=OCI)),
    Row("an image with a digest", service(uri=f"oci://registry.example.com/org/model@sha256:{'0' * 64}")),
    Row("a folder of a bucket", service(uri="s3://bucket/model", model={"secretRef": {"name": "s3"}})),
    Row("a whole container", service(uri="az://models")),
    Row("an image on a port", service(uri="oci://localhost:5000/model:1")),
    Row("the longest name", service(name="a" * 45)),
    Row("a suspended service", service(suspend=True, autoscaling={"maxReplicas": 3})),
    Row("no replica", service(replicas=0)),
    Row("replicas that an external scaler owns", service(replicas=2, autoscaling={"backend": "External"})),
    Row("as many replicas at least as at most", service(autoscaling={"minReplicas": 3, "maxReplicas": 3})),
    Row("autoscaling with defaults", service(autoscaling={"maxReplicas": 3})),
    Row("no accelerator", service(accelerator={"count": 0})),
    Row("empty blocks", service(runtime={}, resources={}, scheduling={}, cache={}, loader={}, rollout={}, network={})),
    Row(
        "HPA on metrics of the pods",
        service(
            autoscaling={
                "maxReplicas": 2,
                "metrics": [
                    {"type": "QueueDepth", "target": "4"},
                    {"type": "Concurrency", "target": "2.5"},
                    {"type": "Custom", "target": "0.9", "query": "inference_kv_cache_usage_ratio"},
                    {
                        "type": "Custom",
                        "target": "500",
                        "query": 'inference_tokens_per_second{direction="completion",model="a.b"}',
                    },
                ],
            }
        ),
    ),
    Row(
        "schedules",
        service(
            autoscaling={
                "maxReplicas": 4,
                "schedules": [
                    {"start": "0 8 * * 1-5", "end": "30 18 * * MON-FRI", "timezone": "Europe/Berlin", "replicas": 3},
                    {"start": "*/15 0 1,15 JAN SUN#1", "end": "0 1 * * *", "replicas": 4},
                ],
            }
        ),
    ),
    Row("KEDA with defaults", service(autoscaling={"backend": "KEDA", "maxReplicas": 2})),
    Row(
        "KEDA from zero",
        service(
            autoscaling={
                "backend": "KEDA",
                "minReplicas": 0,
                "maxReplicas": 2,
                "metrics": [
                    {"type": "QueueDepth", "target": "4"},
                    {"type": "Custom", "target": "0.5", "query": "sum(rate(gateway_requests_total[1m]))"},
                ],
            }
        ),
    ),
    Row("null is the same as leaving out", service(runtime=None, autoscaling=None, replicas=None)),
    Row("null entries of maps", service(resources={"limits": {"cpu": None}}, scheduling={"nodeSelector": {"a": None}})),
    Row("Canary", service(rollout={"strategy": "Canary"})),
    Row(
        "a canary that goes on by itself",
        service(rollout={"strategy": "Canary", "canary": {"steps": steps(10, 11, 99)}}),
    ),
    Row("a canary's weight", service(rollout={"strategy": "Canary", "canary": {"weight": 100}})),
    Row("Recreate", service(rollout={"strategy": "Recreate"})),
    Row("only maxSurge is zero", service(rollout={"strategy": "RollingUpdate", "maxSurge": 0})),
    Row("a compiled model", service(runtime={"engine": {"compile": True}})),
    *(
        Row(f"{name} weights", service(runtime={"engine": {"quantization": name}}))
        for name in ("int8", "int4", "fp8", "bnb-int8", "bnb-nf4")
    ),
    Row("percentages in a rollout", service(rollout={"maxSurge": "25%", "maxUnavailable": "0%"})),
    Row("a number of replicas to keep", service(availability={"minAvailable": 1})),
    *(
        Row(f"remote code of {uri[:5]} that cannot change", service(uri=uri, model={"trustRemoteCode": True, **more}))
        for uri, more in (
            (HF, {"revision": "7ae557604adf67be50417f59c2c2f167def9a775"}),
            (f"{HF}@7ae557604adf67be50417f59c2c2f167def9a775", {}),
            (f"oci://registry.example.com/org/model:1@sha256:{'0' * 64}", {}),
            (f"https://models.example.com/model.tar#sha256={'0' * 64}", {}),
        )
    ),
    Row("a profile that allows remote code", profile(allowRemoteCode=True)),
    Row("a cache on nodes", service(cache={"strategy": "Node"})),
    Row(
        "a shared cache that is kept",
        service(cache={"strategy": "Shared", "claimName": "m"}, deletionPolicy="RetainCache"),
    ),
    Row("an empty profile", profile()),
    Row("updates in waves", profile(updates={"policy": "Wave", "maxServices": 3})),
    Row(
        "updates in a window",
        profile(
            updates={"policy": "Window", "window": {"start": "0 2 * * 6", "end": "0 4 * * 6", "timezone": "Asia/Tokyo"}}
        ),
    ),
    Row(
        "another server",
        profile(
            image="registry.example.com/vllm:1",
            server={
                "command": ["vllm", "serve", "{model}"],
                "args": ["--served-model-name={name}", "--max-model-len={maxContext}", '--json={"a": {"b": 1}}', "{}"],
                "port": 8000,
                "probes": {"startup": "/health", "readiness": "/health", "liveness": "/ping?x=1"},
                "metrics": {"port": 9400, "path": "/metrics", "queueDepth": "vllm:num_requests_waiting", "tokens": ""},
            },
        ),
    ),
    Row(
        "a simulated profile",
        profile(
            image="localhost/modelservice-runtime:dev",
            imagePullPolicy="IfNotPresent",
            default=True,
            simulated=True,
            accelerator={"resource": "nvidia.com/gpu", "count": 1, "productLabel": "nvidia.com/gpu.product"},
            resources={"requests": {"cpu": 1}},
            nodeSelector={"pool": "gpu"},
            tolerations=[{"operator": "Exists"}],
            runtimeClassName="nvidia",
            priorityClassName="high",
            env=[{"name": "A", "value": "1"}],
        ),
    ),
    Row("idle", service(autoscaling={"minReplicas": 0, "maxReplicas": 2, "idle": {"scaleToZeroAfterSeconds": 900}})),
)

NOT_YET = (Row("a task", service(model={"task": "depth-estimation"}), "spec.model.task", "set one of them or remove"),)

INVALID = (
    Row(
        "a shared cache without a claim",
        service(cache={"strategy": "Shared"}),
        "spec.cache.claimName",
        "names the PersistentVolumeClaim",
    ),
    *(
        Row(
            f"a claim of a cache {cache.get('strategy', 'without a strategy')}",
            service(cache={"claimName": "models", **cache}),
            "spec.cache.claimName",
            "set strategy: Shared",
        )
        for cache in ({}, {"strategy": "Node"}, {"strategy": "None"})
    ),
    Row(
        "a claim of a cache with a bad name",
        service(cache={"strategy": "Shared", "claimName": "A_B"}),
        "spec.cache.claimName",
        "must be the name of an object",
    ),
    *(
        Row(
            f"remote code of {uri[:12]} at {more.get('revision', 'no revision')}, which may change",
            service(uri=uri, model={"trustRemoteCode": True, **more}),
            "spec.model.trustRemoteCode",
            "files that cannot change",
        )
        for uri, more in (
            (HF, {}),
            (HF, {"revision": "main"}),
            (HF, {"revision": "7ae5576"}),
            (f"{HF}@main", {}),
            (OCI, {}),
            ("https://models.example.com/model.tar", {}),
            ("s3://bucket/model", {}),
            ("pvc://models/chat", {}),
        )
    ),
    *(
        Row(
            f"a resource claim with {len(sources)} sources",
            service(scheduling={"resourceClaims": [{"name": "gpu", **sources}]}),
            "spec.scheduling.resourceClaims",
            "name either resourceClaimName",
        )
        for sources in ({}, {"resourceClaimName": "a", "resourceClaimTemplateName": "b"})
    ),
    Row(
        "a resource claim with a dotted name",
        service(scheduling={"resourceClaims": [{"name": "a.b", "resourceClaimName": "a"}]}),
        "spec.scheduling.resourceClaims",
        "such as gpu",
    ),
    Row(
        "two resource claims of one name",
        service(scheduling={"resourceClaims": [{"name": "a", "resourceClaimName": n} for n in "ab"]}),
        "spec.scheduling.resourceClaims",
        "uplicate value",
    ),
    Row(
        "unknown quantization",
        service(runtime={"engine": {"quantization": "int2"}}),
        "spec.runtime.engine.quantization",
        "bnb-nf4",
    ),
    Row("no model", {**service(), "spec": {}}, "spec.model", "Required"),
    Row("no spec", {k: v for k, v in service().items() if k != "spec"}, "spec", "Required"),
    Row("no uri", {**service(), "spec": {"model": {}}}, "spec.model.uri", "Required"),
    Row("an unknown field", service(replica=2), "spec.replica", "unknown field"),
    Row("a name of 46", service(name="a" * 46), "metadata.name", "choose a shorter name"),
    Row("a name with a dot", service(name="chat.v2"), "metadata.name", "choose another name"),
    Row("a name that begins with a digit", service(name="2chat"), "metadata.name", "must begin with a letter"),
    *(
        Row(f"URI {uri[:40]!r}", service(uri=uri), "spec.model.uri", "hf://org/name[@revision], https://host/path")
        for uri in (
            "gpt2",
            "http://models.example.com/a",
            "hf://name",
            "hf://org/name/extra",
            "hf://org/na me",
            "https://host",
            "https://user:secret@host/path",
            "pvc://Claim/path",
            "pvc://claim/../other",
            "oci://name",
            "oci://localhost/Upper:dev",
            "ftp://host/path",
            "hf://org/name\n",
        )
    ),
    Row("an endless URI", service(uri="hf://org/" + "a" * 1100), "spec.model.uri", "1024"),
    Row(
        "a secret for a volume",
        service(uri="pvc://c/p", model={"secretRef": {"name": "s"}}),
        "spec.model.secretRef",
        "remove it",
    ),
    Row(
        "a secret for an image",
        service(uri=OCI, model={"secretRef": {"name": "s"}}),
        "spec.model.secretRef",
        "spec.security.imagePullSecrets",
    ),
    Row("files of an image", service(uri=OCI, model={"files": {}}), "spec.model.files", "remove it"),
    Row("a revision of an image", service(uri=OCI, model={"revision": "1"}), "spec.model.revision", "tag or digest"),
    Row("two revisions", service(uri=f"{HF}@a", model={"revision": "b"}), "spec.model.revision", "keep either"),
    Row("an unknown task", service(model={"task": "chatting"}), "spec.model.task", "supported values"),
    Row(
        "a bad secret name",
        service(model={"secretRef": {"name": "A_B"}}),
        "spec.model.secretRef.name",
        "such as hub-token",
    ),
    Row(
        "replicas beside autoscaling",
        service(replicas=2, autoscaling={"maxReplicas": 3}),
        "spec.replicas",
        "remove spec.replicas or spec.autoscaling",
    ),
    Row("negative replicas", service(replicas=-1), "spec.replicas", "greater than or equal to 0"),
    Row("replicas as text", service(replicas="2"), "spec.replicas", "must be of type integer"),
    Row("no maxReplicas", service(autoscaling={}), "spec.autoscaling.maxReplicas", "set it to the most replicas"),
    Row(
        "more at least than at most",
        service(autoscaling={"minReplicas": 5, "maxReplicas": 2}),
        "spec.autoscaling.minReplicas",
        "raise spec.autoscaling.maxReplicas",
    ),
    Row(
        "idle beside a scaler that decides itself",
        service(autoscaling={"backend": "KEDA", "maxReplicas": 2, "idle": {"scaleToZeroAfterSeconds": 900}}),
        "spec.autoscaling.idle",
        "use backend: HPA",
    ),
    Row(
        "idle beside a scaler of one's own",
        service(autoscaling={"backend": "External", "idle": {"scaleToZeroAfterSeconds": 900}}),
        "spec.autoscaling.idle",
        "use backend: HPA",
    ),
    Row(
        "idle beside a policy that the activator does not know",
        service(
            autoscaling={"maxReplicas": 2, "idle": {"scaleToZeroAfterSeconds": 900}},
            network={"networkPolicy": {"from": [{"podSelector": {}}]}},
        ),
        "spec.autoscaling.idle",
        "remove one of the two",
    ),
    Row(
        "idle at once",
        service(autoscaling={"maxReplicas": 2, "idle": {"scaleToZeroAfterSeconds": 0}}),
        "spec.autoscaling.idle.scaleToZeroAfterSeconds",
        "greater than or equal to 1",
    ),
    Row(
        "scaling to zero without idle",
        service(autoscaling={"minReplicas": 0, "maxReplicas": 2}),
        "spec.autoscaling.minReplicas",
        "set it to 1 or more",
    ),
    Row(
        "KEDA from zero with a metric of the pods",
        service(
            autoscaling={
                "backend": "KEDA",
                "minReplicas": 0,
                "maxReplicas": 2,
                "metrics": [{"type": "QueueDepth", "target": "4"}],
            }
        ),
        "spec.autoscaling.minReplicas",
        "add one of type Custom",
    ),
    Row(
        "a custom metric of KEDA without a query",
        service(
            autoscaling={"backend": "KEDA", "maxReplicas": 2, "metrics": [{"type": "Custom", "target": "4"}]},
        ),
        "spec.autoscaling.metrics",
        "needs a query",
    ),
    *(
        Row(
            f"a custom metric of HPA {query!r}",
            service(autoscaling={"maxReplicas": 2, "metrics": [{"type": "Custom", "target": "4", "query": query}]}),
            "spec.autoscaling.metrics",
            "name of a metric of the pods",
        )
        for query in ("", "sum(inference_tokens_total)", "a{b=c}", 'a{b="c"', "a b", 'a{b="c/d"}')
    ),
    *(
        Row(f"a schedule with {words!r}", _scheduled(**{"maxReplicas": 4, **block}, **change), field, words)
        for block, change, field, words in (
            ({}, {"start": "0 8 * *"}, "spec.autoscaling.schedules[0].start", "minute, hour, day, month and weekday"),
            ({}, {"end": "@daily"}, "spec.autoscaling.schedules[0].end", "such as 0 8 * * 1-5"),
            ({}, {"timezone": "../etc"}, "spec.autoscaling.schedules[0].timezone", "such as Europe/Berlin"),
            ({}, {"replicas": 0}, "spec.autoscaling.schedules[0].replicas", "greater than or equal to 1"),
            ({}, {"replicas": 5}, "spec.autoscaling.schedules", "raise spec.autoscaling.maxReplicas"),
            ({"backend": "External", "maxReplicas": None}, {}, "spec.autoscaling.schedules", "remove schedules"),
        )
    ),
    Row(
        "a queue of no length",
        service(autoscaling={"backend": "KEDA", "maxReplicas": 2, "metrics": [{"type": "QueueDepth", "target": "0"}]}),
        "spec.autoscaling.metrics[0].target",
        "above zero",
    ),
    Row(
        "bounds for an external scaler",
        service(autoscaling={"backend": "External", "maxReplicas": 2}),
        "spec.autoscaling.backend",
        "remove minReplicas, maxReplicas",
    ),
    Row(
        "a CPU target without unit",
        service(autoscaling={"maxReplicas": 2, "metrics": [{"type": "CPU", "target": "lots"}]}),
        "spec.autoscaling.metrics[0].target",
        "such as 80%",
    ),
    Row(
        "a cache for an image",
        service(uri=OCI, cache={"strategy": "Node"}),
        "spec.cache.strategy",
        "remove spec.cache",
    ),
    Row(
        "a rollout that can take no step",
        service(rollout={"maxSurge": "0%", "maxUnavailable": 0}),
        "spec.rollout.maxSurge",
        "set one of them to 1 or more",
    ),
    Row(
        "a surge while recreating",
        service(rollout={"strategy": "Recreate", "maxSurge": 1}),
        "spec.rollout.strategy",
        "remove maxSurge and maxUnavailable",
    ),
    Row(
        "a canary without its strategy",
        service(rollout={"canary": {"weight": 10}}),
        "spec.rollout.canary",
        "strategy: Canary",
    ),
    Row(
        "a canary with a weight and steps",
        service(rollout={"strategy": "Canary", "canary": {"weight": 5, "steps": [{"weight": 9, "pauseSeconds": 1}]}}),
        "spec.rollout.canary.weight",
        "steps have their own weights",
    ),
    Row(
        "steps that do not rise",
        service(rollout={"strategy": "Canary", "canary": {"steps": steps(5, 9, 9)}}),
        "spec.rollout.canary.steps",
        "weights must rise from step to step",
    ),
    Row(
        "a step without a time",
        service(rollout={"strategy": "Canary", "canary": {"steps": [{"weight": 9}]}}),
        "spec.rollout.canary.steps[0].pauseSeconds",
        "Required value",
    ),
    Row(
        "a step that rolls out",
        service(rollout={"strategy": "Canary", "canary": {"steps": [{"weight": 100, "pauseSeconds": 1}]}}),
        "spec.rollout.canary.steps[0].weight",
        "less than or equal to 99",
    ),
    Row(
        "a canary without requests",
        service(rollout={"strategy": "Canary", "canary": {"weight": 0}}),
        "spec.rollout.canary.weight",
        "greater than or equal to 1",
    ),
    Row(
        "more than all requests",
        service(rollout={"canary": {"weight": 101}}),
        "spec.rollout.canary.weight",
        "less than or equal to 100",
    ),
    Row(
        "a golden request without a path",
        service(rollout={"verification": {"path": "v1/completions"}}),
        "spec.rollout.verification.path",
        "such as /v1/completions",
    ),
    Row("a surge of words", service(rollout={"maxSurge": "some"}), "spec.rollout.maxSurge", "a percentage"),
    Row(
        "a certificate without a host",
        service(network={"ingress": {"tlsSecretName": "tls"}}),
        "spec.network.ingress.tlsSecretName",
        "set the host",
    ),
    Row(
        "a route without a gateway",
        service(network={"httpRoute": {}}),
        "spec.network.httpRoute.parentRefs",
        "parentRefs: [{name: public}]",
    ),
    Row("a port too high", service(network={"service": {"port": 65536}}), "spec.network.service.port", "65535"),
    Row(
        "a type of Service",
        service(network={"service": {"type": "ExternalName"}}),
        "spec.network.service.type",
        "ClusterIP",
    ),
    Row(
        "a resource without a domain",
        service(accelerator={"resource": "gpu"}),
        "spec.accelerator.resource",
        "nvidia.com/gpu",
    ),
    Row("too many devices", service(accelerator={"count": 65}), "spec.accelerator.count", "64"),
    Row(
        "a product with a space",
        service(accelerator={"product": "NVIDIA L4"}),
        "spec.accelerator.product",
        "label value",
    ),
    Row(
        "a quantity with a wrong unit",
        service(resources={"limits": {"memory": "16GB"}}),
        "spec.resources.limits[memory]",
        "such as 2, 500m or 16Gi",
    ),
    Row(
        "a negative quantity",
        service(resources={"requests": {"cpu": -1}}),
        "spec.resources.requests[cpu]",
        "such as 2, 500m or 16Gi",
    ),
    Row(
        "an environment variable twice",
        service(runtime={"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}),
        "spec.runtime.env[1]",
        "Duplicate",
    ),
    Row(
        "an environment variable's name",
        service(runtime={"env": [{"name": "A B"}]}),
        "spec.runtime.env[0].name",
        "such as HF_ENDPOINT",
    ),
    Row("a dtype", service(runtime={"engine": {"dtype": "float8"}}), "spec.runtime.engine.dtype", "bfloat16"),
    Row(
        "no concurrency", service(runtime={"engine": {"maxConcurrency": 0}}), "spec.runtime.engine.maxConcurrency", "1"
    ),
    Row(
        "an image with a space", service(runtime={"image": "a b"}), "spec.runtime.image", "such as registry.example.com"
    ),
    Row("too many arguments", service(runtime={"args": ["x"] * 65}), "spec.runtime.args", "64"),
    Row(
        "an operator of a toleration",
        service(scheduling={"tolerations": [{"operator": "Like"}]}),
        "spec.scheduling.tolerations[0].operator",
        '"Equal", "Exists"',
    ),
    Row(
        "a label of a node",
        service(scheduling={"nodeSelector": {"pool": "a b"}}),
        "spec.scheduling.nodeSelector[pool]",
        "must be a label value",
    ),
    Row(
        "an interval without unit",
        service(observability={"serviceMonitor": {"interval": "30"}}),
        "spec.observability.serviceMonitor.interval",
        "such as 30s",
    ),
    Row("a drain of days", service(termination={"drainSeconds": 86400}), "spec.termination.drainSeconds", "3600"),
    Row(
        "no error budget",
        service(observability={"prometheusRule": {"errorPercent": 0}}),
        "spec.observability.prometheusRule.errorPercent",
        "greater than or equal to 1",
    ),
    Row(
        "an endpoint without a scheme",
        service(observability={"tracing": {"endpoint": "otel:4318"}}),
        "spec.observability.tracing.endpoint",
        "such as http://otel:4318",
    ),
    Row("traces to nowhere", service(observability={"tracing": {}}), "spec.observability.tracing.endpoint", "Required"),
    Row("nothing to keep available", service(availability={}), "spec.availability.minAvailable", "Required"),
    Row("simulating nothing", profile(simulated=True), "spec.simulated", "add it or remove spec.simulated"),
    Row("a server without its image", profile(server={}), "spec.image", "the operator's default image has no other"),
    Row(
        "a placeholder that is not known",
        profile(image="a/b", server={"args": ["{model}", "--len={context}"]}),
        "spec.server.args[1]",
        "use only {model}, {name}",
    ),
    Row(
        "a placeholder of a command that is not known",
        profile(image="a/b", server={"command": ["{image}"]}),
        "spec.server.command[0]",
        "use only {model}, {name}",
    ),
    Row("a low port", profile(image="a/b", server={"port": 80}), "spec.server.port", "greater than or equal to 1024"),
    Row(
        "a probe without a path",
        profile(image="a/b", server={"probes": {"startup": "health"}}),
        "spec.server.probes.startup",
        "must be a path on the server",
    ),
    Row(
        "a metric with labels",
        profile(image="a/b", server={"metrics": {"queueDepth": 'waiting{engine="0"}'}}),
        "spec.server.metrics.queueDepth",
        "must be the name of a metric without labels",
    ),
    Row(
        "a low port of metrics",
        profile(image="a/b", server={"metrics": {"port": 90}}),
        "spec.server.metrics.port",
        "greater than or equal to 1024",
    ),
    Row(
        "a window without its policy",
        profile(updates={"window": {"start": "0 2 * * 6", "end": "0 4 * * 6"}}),
        "spec.updates.window",
        "goes with policy: Window",
    ),
    Row("a policy without its window", profile(updates={"policy": "Window"}), "spec.updates.window", "set both"),
    Row(
        "a wave's size without a wave",
        profile(updates={"maxServices": 3}),
        "spec.updates.maxServices",
        "needs policy: Wave",
    ),
    Row(
        "a window without a time",
        profile(updates={"policy": "Window", "window": {"start": "nightly", "end": "0 4 * * 6"}}),
        "spec.updates.window.start",
        "must be a cron expression",
    ),
    Row("no service in a wave", profile(updates={"policy": "Wave", "maxServices": 0}), "spec.updates.maxServices", "1"),
    Row("a policy for images", profile(imagePullPolicy="Sometimes"), "spec.imagePullPolicy", "IfNotPresent"),
    Row(
        "a profile's label",
        profile(accelerator={"productLabel": "a b"}),
        "spec.accelerator.productLabel",
        "key of a label",
    ),
    Row(
        "a profile without devices",
        profile(accelerator={"count": 0}),
        "spec.accelerator.count",
        "greater than or equal to 1",
    ),
)

ROWS = (*VALID, *NOT_YET, *INVALID)
