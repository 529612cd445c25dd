"""A server of another make gets the pod that it needs, and what it cannot do is refused by name."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from modelservice_operator.api.reasons import Reason
from modelservice_operator.domain import SpecError, desired
from modelservice_operator.domain.fit import misfit
from modelservice_operator.domain.inspection import Inspection
from tests.support.builders import FACTS, IMAGE, Body, ModelServiceBuilder, make_modelservice, make_profile, render_all

METRICS = {
    "queueDepth": "vllm:num_requests_waiting",
    "concurrency": "vllm:num_requests_running",
    "tokens": "vllm:generation_tokens_total",
    "latency": "vllm:e2e_request_latency_seconds",
    "cacheUsage": "vllm:kv_cache_usage_perc",
}
ARGS = ["--model={model}", "--max-model-len={maxContext}", "--tp={accelerators}", '--json={"a": {}}']


def _other(**server: Any) -> Any:
    return make_profile("vllm", image="registry.example.com/vllm:1", server={"args": ARGS, **server})


def _child(kind: str, builder: ModelServiceBuilder, profile: Any) -> Body:
    return next(body for body in render_all(builder.build(), profile) if body["kind"] == kind)


def _pod(builder: ModelServiceBuilder, profile: Any) -> Body:
    pod: Body = _child("Deployment", builder, profile)["spec"]["template"]["spec"]
    return pod


def test_arguments_without_a_value_are_left_out_and_those_of_the_user_follow() -> None:
    (server,) = _pod(make_modelservice().with_spec(runtime={"args": ["--mine"]}), _other())["containers"]
    assert server["args"] == ["--model=/models/chat", '--json={"a": {}}', "--mine"]
    assert "command" not in server


@pytest.mark.parametrize(
    ("word", "field", "blocks"),
    [
        ("maxContext", "runtime.engine.maxContext", {"runtime": {"engine": {"maxContext": 4096}}}),
        ("accelerators", "accelerator.count", {"accelerator": {"count": 2}}),
    ],
)
def test_script_without_a_value_is_refused_instead_of_left_out(word: str, field: str, blocks: dict[str, Any]) -> None:
    profile = _other(command=["sh", "-c", f"exec vllm serve {{model}} --flag={{{word}}}"])
    with pytest.raises(SpecError, match=f"{{{word}}} stands in the middle of a text") as caught:
        desired(make_modelservice().build(), profile, FACTS)
    assert (caught.value.reason, caught.value.field) == (Reason.UNSUPPORTED_BY_SERVER, f"spec.{field}")
    value = "4096" if word == "maxContext" else "2"
    command = _pod(make_modelservice().with_spec(**blocks), profile)["containers"][0]["command"]
    assert command[2] == f"exec vllm serve /models/chat --flag={value}"


def test_option_whose_value_has_blanks_is_left_out_whole() -> None:
    args = ['--config={"length": {maxContext}}', "{accelerators}", '--json={"a": {"b": 1}}']
    profile = _other(command=["sh", "-c", 'exec vllm "$@"', "sh"], args=args)
    (server,) = _pod(make_modelservice(), profile)["containers"]
    assert (len(server["command"]), server["args"]) == (4, args[2:])


def test_arguments_get_their_values_when_the_spec_has_them() -> None:
    builder = make_modelservice().with_gpu(2).with_spec(runtime={"engine": {"maxContext": 4096}})
    assert _pod(builder, _other())["containers"][0]["args"][1:3] == ["--max-model-len=4096", "--tp=2"]


def test_server_is_asked_on_its_own_port_and_models_are_fetched_by_ours() -> None:
    pod = _pod(make_modelservice(), _other(port=9000, probes={"startup": "/s", "readiness": "/r", "liveness": "/l"}))
    (server,), (fetch,) = pod["containers"], pod["initContainers"]
    assert [(port["name"], port["containerPort"]) for port in server["ports"]] == [("http", 9000)]
    probes = {name: server[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert probes == {name: {"path": f"/{name[0]}", "port": "http"} for name in probes}
    assert (server["image"], fetch["image"]) == ("registry.example.com/vllm:1", IMAGE)
    assert "settings" not in {volume["name"] for volume in pod["volumes"]}


def test_no_way_leads_to_an_admin_port_when_the_server_has_none() -> None:
    peers = [{"podSelector": {}}]
    builder = make_modelservice().with_spec(network={"networkPolicy": {"from": peers}})
    assert [port["name"] for port in _child("Service", builder, _other())["spec"]["ports"]] == ["http"]
    rules = _child("NetworkPolicy", builder, _other())["spec"]["ingress"]
    assert [[port["port"] for port in rule["ports"]] for rule in rules] == [[8000]]


@pytest.mark.parametrize(
    ("field", "blocks"),
    [
        ("spec.model.task", {"model": {"uri": "hf://a/b", "task": "chat"}}),
        ("spec.model.adapters", {"model": {"uri": "hf://a/b", "adapters": [{"name": "x", "uri": "hf://a/x"}]}}),
        ("spec.model.servedName", {"model": {"uri": "hf://a/b", "servedName": "mine"}}),
        ("spec.runtime.engine.quantization", {"runtime": {"engine": {"quantization": "int8"}}}),
        ("spec.runtime.engine.compile", {"runtime": {"engine": {"compile": True}}}),
        ("spec.runtime.engine.dtype", {"runtime": {"engine": {"dtype": "float16"}}}),
        ("spec.runtime.engine.maxConcurrency", {"runtime": {"engine": {"maxConcurrency": 4}}}),
        ("spec.security.apiKeySecretRef", {"security": {"apiKeySecretRef": {"name": "keys"}}}),
        ("spec.rollout.verification", {"rollout": {"verification": {"path": "/v1/models", "body": "{}"}}}),
        ("spec.observability.tracing", {"observability": {"tracing": {"endpoint": "http://otel:4318"}}}),
        ("spec.observability.serviceMonitor", {"observability": {"serviceMonitor": {}}}),
        ("spec.observability.prometheusRule", {"observability": {"prometheusRule": {}}}),
        ("spec.observability.dashboard", {"observability": {"dashboard": {}}}),
        ("spec.observability.prometheusRule.errorPercent", {"observability": {"prometheusRule": {"errorPercent": 2}}}),
        ("spec.autoscaling.idle", {"autoscaling": {"maxReplicas": 2, "idle": {"scaleToZeroAfterSeconds": 9}}}),
        (
            "spec.autoscaling.metrics[0].type",
            {"autoscaling": {"maxReplicas": 2, "metrics": [{"type": "QueueDepth", "target": "4"}]}},
        ),
    ],
)
def test_spec_error_names_the_field_when_only_our_runtime_can_do_it(field: str, blocks: dict[str, Any]) -> None:
    service = make_modelservice().with_spec(**blocks).build()
    assert desired(service, make_profile("ours"), FACTS)
    with pytest.raises(SpecError, match="RuntimeProfile 'vllm'") as caught:
        desired(service, _other(), FACTS)
    assert (caught.value.reason, caught.value.field) == (Reason.UNSUPPORTED_BY_SERVER, field)


def _scaled(backend: str = "HPA", **metric: str) -> dict[str, Any]:
    return {"autoscaling": {"maxReplicas": 2, "backend": backend, "metrics": [{"target": "4", **metric}]}}


IDLE = {"autoscaling": {"maxReplicas": 2, "idle": {"scaleToZeroAfterSeconds": 9}}}


@pytest.mark.parametrize(
    ("blocks", "field", "lack"),
    [
        (_scaled(type="QueueDepth"), "autoscaling.metrics[0].type", "spec.server.metrics.queueDepth"),
        (_scaled("KEDA", type="Concurrency"), "autoscaling.metrics[0].type", "spec.server.metrics.concurrency"),
        (
            {"observability": {"prometheusRule": {"latencySeconds": 3}}},
            "observability.prometheusRule.latencySeconds",
            "spec.server.metrics.latency",
        ),
        (IDLE, "autoscaling.idle", "spec.server.metrics.queueDepth"),
    ],
)
def test_spec_error_names_the_metric_that_the_profile_does_not_name(
    blocks: dict[str, Any], field: str, lack: str
) -> None:
    service = make_modelservice().with_spec(**blocks).build()
    assert desired(service, _other(metrics=METRICS), FACTS)
    with pytest.raises(SpecError, match=lack) as caught:
        desired(service, _other(metrics={}), FACTS)
    assert (caught.value.reason, caught.value.field) == (Reason.UNSUPPORTED_BY_SERVER, f"spec.{field}")
    assert "name a profile that has it" in str(caught.value)


def test_autoscaler_asks_for_the_metrics_of_the_server() -> None:
    metrics = [
        {"type": "QueueDepth", "target": "4"},
        {"type": "Custom", "target": "90", "query": "vllm:generation_tokens_per_second"},
    ]
    builder = make_modelservice().with_spec(autoscaling={"maxReplicas": 2, "metrics": metrics})
    scaler = _child("HorizontalPodAutoscaler", builder, _other(metrics=METRICS))
    names = [metric["pods"]["metric"]["name"] for metric in scaler["spec"]["metrics"]]
    assert names == ["vllm:num_requests_waiting", "vllm:generation_tokens_per_second"]


def test_keda_asks_prometheus_for_the_metrics_of_the_server() -> None:
    builder = make_modelservice().with_spec(**_scaled("KEDA", type="Concurrency"))
    (trigger,) = _child("ScaledObject", builder, _other(metrics=METRICS))["spec"]["triggers"]
    assert trigger["metadata"]["query"] == 'sum(vllm:num_requests_running{namespace="team",service="chat"})'


@pytest.mark.parametrize(
    ("given", "service_port", "name", "number"),
    [
        ({"path": "/m"}, 80, "http", 8000),
        ({"port": 9400, "path": "/m"}, 80, "metrics", 9400),
        ({"port": 9400, "path": "/m"}, 9400, "metrics", 9400),
        ({"port": 65000, "path": "/m"}, 65000, "metrics", 65000),
    ],
)
def test_metrics_are_reached_on_their_port_and_path(
    given: dict[str, Any], service_port: int, name: str, number: int
) -> None:
    network = {"service": {"port": service_port}, "networkPolicy": {"from": [{"podSelector": {}}]}}
    builder = make_modelservice().with_spec(network=network, observability={"serviceMonitor": {}})
    profile = _other(metrics={**METRICS, **given})
    (endpoint,) = _child("ServiceMonitor", builder, profile)["spec"]["endpoints"]
    assert (endpoint["port"], endpoint["path"]) == (name, "/m")
    ports = {port["name"]: port for port in _child("Service", builder, profile)["spec"]["ports"]}
    assert ports[name]["targetPort"] == name
    assert len({port["port"] for port in ports.values()}) == len(ports)
    template = _child("Deployment", builder, profile)["spec"]["template"]
    assert template["metadata"]["annotations"]["modelservice.dev/metrics"] == f"{number}/m"
    (server,) = template["spec"]["containers"]
    assert {port["name"]: port["containerPort"] for port in server["ports"]}[name] == number
    peers, operator = _child("NetworkPolicy", builder, profile)["spec"]["ingress"]
    assert {port["port"] for port in peers["ports"]} == {8000, number}
    assert [port["port"] for port in operator["ports"]] == [number]


def test_alerts_and_panels_are_those_of_which_the_server_tells() -> None:
    builder = make_modelservice().with_gpu(1).with_spec(observability={"prometheusRule": {}, "dashboard": {}})
    told, silent = _other(metrics=METRICS), _other(metrics={})
    assert _alerts(builder, silent) == {"NotReady", "CrashLooping"}
    assert _alerts(builder, told) == {
        "NotReady", "CrashLooping", "LatencyHigh", "QueueSaturated", "KVCacheFull", "AcceleratorIdle",
    }  # fmt: skip
    for profile in (told, silent):
        shown = str(_child("PrometheusRule", builder, profile)) + str(_child("ConfigMap", builder, profile))
        assert "inference_" not in shown
        assert "{namespace=" in shown
    assert set(METRICS.values()) - {"vllm:e2e_request_latency_seconds"} <= _series(builder, told)
    assert {"vllm:e2e_request_latency_seconds_bucket", "vllm:e2e_request_latency_seconds_count"} <= _series(
        builder, told
    )


def _alerts(builder: ModelServiceBuilder, profile: Any) -> set[str]:
    (group,) = _child("PrometheusRule", builder, profile)["spec"]["groups"]
    return {rule["alert"].removeprefix("ModelService") for rule in group["rules"]}


def _series(builder: ModelServiceBuilder, profile: Any) -> set[str]:
    """The series of the dashboard."""
    (board,) = _child("ConfigMap", builder, profile)["data"].values()
    return set(re.findall(r"([a-z_0-9:]+){", board))


def test_autoscaling_is_accepted_when_others_measure() -> None:
    cpu, query = {"type": "CPU", "target": "70%"}, {"type": "Custom", "target": "4", "query": "sum(queue)"}
    for block in ({"metrics": [cpu]}, {"metrics": [cpu, query], "backend": "KEDA"}):
        assert desired(make_modelservice().with_spec(autoscaling={"maxReplicas": 2, **block}).build(), _other(), FACTS)


def test_architecture_that_only_our_runtime_does_not_know_is_no_misfit_of_another_server() -> None:
    service, found = make_modelservice().build(), Inspection("x", unknown_architecture="NewForCausalLM")
    assert misfit(service, make_profile("ours"), found) is not None
    assert misfit(service, _other(), found) is None


def test_profile_is_refused_when_a_placeholder_is_unknown() -> None:
    for word in ("{models}", "--x={{model}}", "{}{a}", "a{b}c"):
        with pytest.raises((ValidationError, SpecError), match="has a placeholder that is not known"):
            _other(args=[word])
