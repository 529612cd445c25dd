"""The children of ModelServices that together use every option, as they go to the API server, one file a case."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelservice_operator.api.kinds import CHILD_KINDS
from modelservice_operator.api.v1alpha1 import ModelService, RuntimeProfile
from modelservice_operator.domain import AWAKE, OPEN, Claim, Door, Gate, Rest, claim_named_in, judge_source
from modelservice_operator.domain.collector import collectors
from modelservice_operator.render import Renderer
from tests.support.builders import FACTS, make_gpu_profile, make_modelservice, make_profile, render_all
from tests.support.preflights import INSPECTED, make_preflight_pod

Case = tuple[ModelService, RuntimeProfile | None]
HERE = Path(__file__).parent


def _minimal() -> Case:
    return make_modelservice().build(), None


def _hub_with_token() -> Case:
    files = {"include": ["*.safetensors", "-odd[1].json"], "exclude": ["*.bin"]}
    model = make_modelservice("hf://meta-llama/Llama-3.2-1B@9213176").with_model(
        secretRef={"name": "hub-token"}, files=files, servedName="llama:1b", task="chat"
    )
    env = [
        {"name": "HF_ENDPOINT", "value": "https://hub.example.com"},
        {"name": "PROXY", "valueFrom": {"configMapKeyRef": {"name": "proxy", "key": "url"}}},
        {"name": "EMPTY"},
    ]
    env_from = [{"prefix": "X_", "secretRef": {"name": "extra", "optional": True}}, {"configMapRef": {"name": "more"}}]
    engine = {"dtype": "bfloat16", "maxContext": 8192, "maxConcurrency": 16}
    runtime = {"env": env, "envFrom": env_from, "args": ["--observability-log-level=debug"], "engine": engine}
    loader = {"resources": {"limits": {"memory": "2Gi"}}, "parallelism": 16, "startupBudgetSeconds": 90}
    return model.with_spec(runtime=runtime, loader=loader, termination={"drainSeconds": 5}).build(), None


def _https_with_header() -> Case:
    uri = "https://models.example.com:8443/a/$(HTTP_AUTHORIZATION)/model.tar?x=1"
    return make_modelservice(uri).with_model(secretRef={"name": "basic"}).build(), None


def _bucket() -> Case:
    return make_modelservice("s3://models/team/chat").with_model(secretRef={"name": "s3"}).build(), None


def _image() -> Case:
    service = make_modelservice("oci://registry.example.com/models/chat:2@sha256:" + "a" * 64)
    security = {"imagePullSecrets": [{"name": "registry"}], "serviceAccountName": "mine"}
    return service.with_spec(security=security, replicas=0, revisionHistoryLimit=0).build(), None


def _claim() -> Case:
    return make_modelservice("pvc://weights/llama/1b").with_spec(rollout={"strategy": "Recreate"}).build(), None


def _gpu_by_profile() -> Case:
    tolerations = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    resources = {"requests": {"cpu": 2, "memory": "8Gi"}, "limits": {"memory": "16Gi"}}
    profile = make_gpu_profile(
        image="registry.example.com/runtime-cuda:3",
        imagePullPolicy="Always",
        tolerations=tolerations,
        resources=resources,
        nodeSelector={"pool": "gpu"},
        runtimeClassName="nvidia",
        priorityClassName="batch",
        env=[{"name": "NCCL_DEBUG", "value": "WARN"}],
    )
    service = make_modelservice().with_gpu(2, product="NVIDIA-L4")
    return service.with_spec(resources={"limits": {"memory": "24Gi"}}, replicas=2).build(), profile


def _other_server() -> Case:
    server = {
        "command": ["vllm", "serve", "{model}"],
        "args": [
            "--served-model-name={name}",
            "--host=0.0.0.0",
            "--port={port}",
            "--dtype={dtype}",
            "--max-model-len={maxContext}",
            "--max-num-seqs={maxConcurrency}",
            "--tensor-parallel-size={accelerators}",
        ],
        "probes": {"liveness": "/ping"},
    }
    profile = make_gpu_profile(image="registry.example.com/vllm:1", server=server)
    engine = {"dtype": "bfloat16", "maxContext": 8192}
    service = make_modelservice().with_gpu(4).with_model(servedName="Qwen/Qwen2.5")
    return service.with_spec(runtime={"engine": engine, "args": ["--enable-prefix-caching"]}).build(), profile


def _measured_server() -> Case:
    names = {"queueDepth": "vllm:num_requests_waiting", "latency": "vllm:e2e_request_latency_seconds"}
    server = {"args": ["--model={model}"], "metrics": {"port": 9400, "path": "/engine/metrics", **names}}
    profile = make_gpu_profile(image="registry.example.com/vllm:1", server=server)
    scaling = {"maxReplicas": 3, "metrics": [{"type": "QueueDepth", "target": "4"}]}
    watched = {"serviceMonitor": {}, "prometheusRule": {"latencySeconds": 5}, "dashboard": {}}
    return make_modelservice().with_spec(autoscaling=scaling, observability=watched).build(), profile


def _gpu_simulated() -> Case:
    return make_modelservice("oci://localhost/models/demo-chat:dev").build(), make_gpu_profile(simulated=True)


def _gpu_quantized() -> Case:
    engine = {"quantization": "bnb-nf4", "compile": True}
    return make_modelservice().with_gpu(1).with_spec(runtime={"engine": engine}).build(), None


def _gpu_slices() -> Case:
    rollout = {"strategy": "RollingUpdate", "maxSurge": "25%", "progressDeadlineSeconds": 600}
    service = make_modelservice().with_gpu(resource="nvidia.com/mig-1g.5gb")
    return service.with_spec(rollout=rollout).build(), make_profile("cpu", default=True)


def _placed() -> Case:
    terms = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    scheduling = {
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "dedicated", "value": "models", "effect": "NoExecute", "tolerationSeconds": 60}],
        "affinity": {"nodeAffinity": required},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"},
        ],
        "priorityClassName": "high",
        "runtimeClassName": "gvisor",
        "schedulerName": "volcano",
    }
    return make_modelservice().with_spec(scheduling=scheduling).build(), None


def _claimed() -> Case:
    claims = [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}, {"name": "nic", "resourceClaimName": "shared"}]
    return make_modelservice().with_spec(scheduling={"resourceClaims": claims}).build(), make_gpu_profile()


def _autoscaled() -> Case:
    block = {
        "minReplicas": 2,
        "maxReplicas": 6,
        "metrics": [
            {"type": "CPU", "target": "70%"},
            {"type": "Memory", "target": "8Gi"},
            {"type": "QueueDepth", "target": "4"},
            {"type": "Concurrency", "target": "2.5"},
            {"type": "Custom", "target": "500", "query": 'inference_tokens_per_second{direction="completion"}'},
            {"type": "Custom", "target": "0.9", "query": "inference_kv_cache_usage_ratio"},
        ],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 120}},
    }
    return make_modelservice().with_spec(autoscaling=block, availability={"minAvailable": "50%"}).build(), None


def _scaled_by_keda() -> Case:
    requests = 'sum(rate(gateway_requests_total{service="chat"}[1m]))'
    metrics = [
        {"type": "QueueDepth", "target": "4"},
        {"type": "Concurrency", "target": "16"},
        {"type": "Custom", "target": "0.5", "query": requests},
        {"type": "CPU", "target": "70%"},
        {"type": "Memory", "target": "8Gi"},
    ]
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 120}}
    block = {"backend": "KEDA", "minReplicas": 0, "maxReplicas": 6, "metrics": metrics, "behavior": behavior}
    return make_modelservice().with_spec(autoscaling=block).build(), None


def _scaled_by_others() -> Case:
    return make_modelservice().with_spec(autoscaling={"backend": "External"}, replicas=3).build(), None


def _exposed() -> Case:
    annotations = {"example.com/note": 'a: {{ b }} "c"\n#d'}
    options = {"type": "LoadBalancer", "port": 8081, "annotations": annotations}
    monitor = {"labels": {"release": "prometheus", "modelservice.dev/name": "stolen"}, "interval": "15s"}
    service = make_modelservice().with_spec(network={"service": options})
    return service.with_spec(observability={"serviceMonitor": monitor}, availability={"minAvailable": 1}).build(), None


def _secured() -> Case:
    return make_modelservice().with_spec(security={"apiKeySecretRef": {"name": "chat-keys"}}).build(), None


def _adapted() -> Case:
    adapters = [
        {"name": "fin", "uri": "hf://org/fin@v2"},
        {"name": "law", "uri": "oci://registry.example.com/adapters/law:1"},
        {"name": "med", "uri": "pvc://adapters/med"},
        {"name": "old", "uri": "https://elsewhere.example.com/old.tar"},
    ]
    return make_modelservice().with_model(adapters=adapters, secretRef={"name": "hub-token"}).build(), None


def _observed() -> Case:
    labels = {"release": "prometheus"}
    rule = {"labels": labels, "latencySeconds": 5, "errorPercent": 2}
    blocks = {"serviceMonitor": {"labels": labels}, "prometheusRule": rule, "dashboard": {"folder": "Models"}}
    blocks["tracing"] = {"endpoint": "http://otel-collector.monitoring:4318"}
    return make_modelservice().with_gpu(1).with_spec(observability=blocks).build(), None


def _routed() -> Case:
    parents = [{"name": "public", "namespace": "infra", "sectionName": "https"}, {"name": "private"}]
    network = {
        "service": {"port": 8000},
        "ingress": {"className": "nginx", "host": "chat.example.com", "tlsSecretName": "chat-tls"},
        "httpRoute": {"parentRefs": parents, "hostnames": ["chat.example.com"]},
        "networkPolicy": {"from": [{"namespaceSelector": {"matchLabels": {"team": "web"}}}]},
    }
    return make_modelservice().with_spec(network=network).build(), None


def _verified() -> Case:
    golden = {"path": "/v1/completions", "body": '{"model": "chat", "prompt": "2 + 2 ="}', "expect": " 4"}
    return make_modelservice().with_spec(rollout={"verification": golden}).build(), None


def _suspended() -> Case:
    autoscaling = {"minReplicas": 2, "maxReplicas": 6}
    return make_modelservice().with_spec(suspend=True, autoscaling=autoscaling).build(), None


def _merged() -> Case:
    shared = {"name": "shared", "mountPath": "/shared"}
    patch = {
        "metadata": {"labels": {"team": "nlp"}, "annotations": {"example.com/scrape": "yes"}},
        "spec": {
            "containers": [
                {"name": "server", "env": [{"name": "HOME", "value": "/home"}], "volumeMounts": [shared]},
                {"name": "proxy", "image": "proxy:1"},
            ],
            "volumes": [{"name": "shared", "emptyDir": {}}],
            "dnsPolicy": "None",
            "enableServiceLinks": None,
        },
    }
    return make_modelservice().with_spec(podTemplate=patch).build(), None


def _looked_up() -> Case:
    """While the model is looked up: a Job, reaching the source as the fetch container would."""
    fetch = {"name": "fetch", "volumeMounts": [{"name": "ca", "mountPath": "/etc/ssl/certs"}]}
    volumes = [{"name": "ca", "configMap": {"name": "ca"}}, {"name": "shared", "emptyDir": {}}]
    patch = {"spec": {"initContainers": [fetch], "volumes": volumes, "dnsPolicy": "Default"}}
    service, _ = _hub_with_token()
    selector = {"kubernetes.io/arch": "amd64", "pool": "gpu"}
    service = service.model_copy(update={"spec": service.spec.model_copy(update={"pod_template": patch})})
    return service, make_gpu_profile(nodeSelector=selector)


def _inspected() -> Case:
    return make_modelservice("hf://Qwen/Qwen2.5-0.5B-Instruct@main").build(), None


def _idle() -> Case:
    scaling = {"minReplicas": 0, "maxReplicas": 4, "idle": {"scaleToZeroAfterSeconds": 900}}
    return make_modelservice("pvc://weights/llama").with_spec(autoscaling=scaling).build(), None


def _cached_on_nodes() -> Case:
    files = {"exclude": ["*.md"]}
    model = make_modelservice("hf://Qwen/Qwen2.5-0.5B-Instruct@main").with_model(files=files)
    adapters = [{"name": "fin", "uri": "hf://org/fin@v2"}]
    return model.with_model(files=files, adapters=adapters).with_spec(cache={"strategy": "Node"}).build(), None


def _cached_on_a_volume() -> Case:
    cache = {"strategy": "Shared", "claimName": "models"}
    service = make_modelservice("s3://models/team/chat").with_spec(cache=cache, replicas=2)
    return service.with_spec(cache=cache, deletionPolicy="RetainCache").build(), None


def _looking(service: ModelService, profile: RuntimeProfile | None) -> Gate:
    return judge_source(service, profile, FACTS, {}, ())


def _passed(service: ModelService, profile: RuntimeProfile | None) -> Gate:
    return judge_source(service, profile, FACTS, {}, [make_preflight_pod(service, profile).finished(INSPECTED)])


GATES: dict[str, Callable[[ModelService, RuntimeProfile | None], Gate]] = {
    "looked-up": _looking,
    "inspected": _passed,
    "cached-on-nodes": _passed,
    "cached-on-a-volume": _passed,
}
"""The cases that have a preflight; the gate of all others is open."""


RESTS = {"idle": Rest(at_zero=True, door=Door(20007, ("10.244.0.9", "fd00::9")))}
"""The cases that have no pods because no requests come."""


def _render(case: str) -> list[dict[str, Any]]:
    service, profile = CASES[case]()
    gate = GATES[case](service, profile) if case in GATES else OPEN
    name = claim_named_in(service.spec.manifest())
    facts = replace(FACTS, claim=Claim(name, "uid-claim", ("ReadWriteMany",))) if name else FACTS
    jobs = collectors(service, profile, facts, ["node-1"])
    rendered = render_all(service, profile, facts, gate, RESTS.get(case, AWAKE))
    return [*rendered, *(Renderer().render(job.template, job.values) for job in jobs)]


CASES: dict[str, Callable[[], Case]] = {
    function.__name__.strip("_").replace("_", "-"): function
    for function in (
        _minimal, _hub_with_token, _https_with_header, _bucket, _image, _claim, _gpu_by_profile, _gpu_simulated,
        _other_server, _measured_server, _gpu_quantized, _gpu_slices, _placed, _claimed, _autoscaled, _scaled_by_keda,
        _scaled_by_others, _exposed,
        _secured, _adapted, _observed, _routed, _suspended, _merged, _verified, _looked_up, _inspected, _idle,
        _cached_on_nodes, _cached_on_a_volume,
    )
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_children_are_as_recorded(case: str, update_golden: bool) -> None:
    file = HERE / f"{case}.yaml"
    rendered = yaml.safe_dump_all(_render(case), sort_keys=False, allow_unicode=True, width=120)
    if update_golden:
        file.write_text(rendered, encoding="utf-8")
    assert rendered == file.read_text(encoding="utf-8"), (
        "run `pytest tests/golden --update-golden` and look at the diff"
    )


def test_every_kind_is_recorded() -> None:
    manifests = [manifest for case in CASES for manifest in _render(case)]
    assert {manifest["kind"] for manifest in manifests} == {kind.kind for kind in CHILD_KINDS}


def test_no_file_is_left_over() -> None:
    assert {file.stem for file in HERE.glob("*.yaml")} == set(CASES)
