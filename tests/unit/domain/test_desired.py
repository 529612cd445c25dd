"""Which children there are, and what of the spec and the profile ends up where in them."""

from typing import Any

import pytest
import yaml

from modelservice_operator.api.reasons import Reason
from modelservice_operator.domain import Facts, SpecError, desired, missing_kinds, read_service
from tests.support.builders import (
    FACTS,
    IMAGE,
    ModelServiceBuilder,
    make_gpu_profile,
    make_modelservice,
    make_profile,
    render_all,
)


def _child(kind: str, builder: ModelServiceBuilder, profile: Any = None) -> dict[str, Any]:
    return next(body for body in render_all(builder.build(), profile) if body["kind"] == kind)


def _pod(builder: ModelServiceBuilder, profile: Any = None) -> dict[str, Any]:
    return _child("Deployment", builder, profile)["spec"]["template"]["spec"]


def _settings(builder: ModelServiceBuilder, profile: Any = None) -> dict[str, Any]:
    template = _child("Deployment", builder, profile)["spec"]["template"]
    return yaml.safe_load(template["metadata"]["annotations"]["modelservice.dev/settings"])


def test_three_children_are_enough_when_nothing_else_is_asked_for() -> None:
    kinds = [body["kind"] for body in render_all(make_modelservice().build())]
    assert kinds == ["ServiceAccount", "Deployment", "Service"]


def test_no_service_account_is_made_when_the_user_names_one() -> None:
    builder = make_modelservice().with_spec(security={"serviceAccountName": "mine"})
    assert "ServiceAccount" not in [body["kind"] for body in render_all(builder.build())]
    assert _pod(builder)["serviceAccountName"] == "mine"


def test_service_monitor_is_left_out_and_told_when_its_kind_is_not_served() -> None:
    service = make_modelservice().with_spec(observability={"serviceMonitor": {}}).build()
    facts = Facts(IMAGE)
    assert "ServiceMonitor" not in {child.kind.kind for child in desired(service, None, facts)}
    assert missing_kinds(service, facts) == {"ServiceMonitor"}
    assert missing_kinds(service, FACTS) == frozenset()


TRUSTED = make_modelservice(f"hf://org/own-code@{'7' * 40}").with_model(trustRemoteCode=True)


@pytest.mark.parametrize(
    ("profile", "why"),
    [(None, "no RuntimeProfile is in use"), (make_profile("careful"), "'careful' does not allow it")],
)
def test_spec_error_is_told_when_nobody_allows_code_that_comes_with_a_model(profile: Any, why: str) -> None:
    with pytest.raises(SpecError, match=why) as caught:
        desired(TRUSTED.build(), profile, FACTS)
    assert caught.value.reason is Reason.REMOTE_CODE_NOT_ALLOWED
    assert caught.value.field == "spec.model.trustRemoteCode"
    assert "spec.allowRemoteCode" in caught.value.message


def test_server_is_told_to_run_the_models_code_when_user_and_profile_say_so() -> None:
    trusting = make_profile("trusting", allowRemoteCode=True)
    assert _settings(TRUSTED, trusting)["model"]["trust_remote_code"] is True
    assert _settings(make_modelservice(), trusting)["model"]["trust_remote_code"] is False


def test_spec_error_names_the_profile_when_it_does_not_exist() -> None:
    service = make_modelservice().with_spec(runtime={"profileRef": {"name": "h100"}}).build()
    with pytest.raises(SpecError, match="'h100' does not exist") as caught:
        desired(service, None, FACTS)
    assert caught.value.reason is Reason.PROFILE_NOT_FOUND
    assert caught.value.field == "spec.runtime.profileRef.name"


def test_spec_error_asks_for_a_label_when_the_product_of_an_unknown_vendor_is_wanted() -> None:
    service = make_modelservice().with_gpu(resource="acme.com/npu", product="X1").build()
    with pytest.raises(SpecError, match="productLabel"):
        desired(service, None, FACTS)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"model": {"uri": "nowhere"}}, "spec.model.uri"),
        ({"model": {"uri": "hf://a/b"}, "replicas": "2"}, "spec.replicas"),
        ({"model": {"uri": "hf://a/b"}, "nonsense": 1}, "spec.nonsense"),
        ({"model": {"uri": "hf://a/b"}, "runtime": {"env": [{"name": "1x"}]}}, "spec.runtime.env.0.name"),
        ({}, "spec.model"),
    ],
)
def test_reading_names_the_field_when_the_spec_is_invalid(spec: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_service({"metadata": {"name": "chat", "namespace": "team", "uid": "u"}, "spec": spec})
    assert caught.value.field == field
    assert caught.value.reason is Reason.INVALID_SPEC


def test_revision_of_the_uri_is_fetched_when_none_is_given_apart() -> None:
    fetch = _pod(make_modelservice("hf://org/name@v2"))["initContainers"][0]
    assert fetch["args"] == ["fetch", "hf://org/name", "/models/chat", "--revision=v2"]


def test_token_is_given_to_the_fetch_alone_when_there_is_a_secret() -> None:
    pod = _pod(make_modelservice().with_model(secretRef={"name": "hub-token"}))
    (token,) = [entry for entry in pod["initContainers"][0]["env"] if entry["name"] == "HF_TOKEN"]
    assert token["valueFrom"] == {"secretKeyRef": {"name": "hub-token", "key": "token", "optional": False}}
    assert "HF_TOKEN" not in [entry["name"] for entry in pod["containers"][0]["env"]]


def test_users_environment_reaches_both_containers_and_wins_over_the_profile() -> None:
    profile = make_profile(env=[{"name": "HF_ENDPOINT", "value": "https://a"}, {"name": "P", "value": "1"}])
    builder = make_modelservice().with_spec(runtime={"env": [{"name": "HF_ENDPOINT", "value": "https://b"}]})
    pod = _pod(builder, profile)
    for container in (pod["containers"][0], pod["initContainers"][0]):
        values = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert values["HF_ENDPOINT"] == "https://b"
        assert values["P"] == "1"
        assert len(values) == len(container["env"])


@pytest.mark.parametrize("uri", ["oci://localhost/models/demo-chat:dev", "pvc://claim/some/path"])
def test_model_is_mounted_read_only_and_nothing_is_fetched_when_it_is_there_already(uri: str) -> None:
    pod = _pod(make_modelservice(uri))
    assert "initContainers" not in pod
    mount = next(mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "model")
    assert mount["readOnly"] is True
    assert mount["mountPath"] == "/models/chat"


def test_pod_meets_the_restricted_standard() -> None:
    pod = _pod(make_modelservice())
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*pod["containers"], *pod["initContainers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_revision_changes_when_a_setting_does() -> None:
    def annotation(builder: ModelServiceBuilder) -> str:
        template = _child("Deployment", builder)["spec"]["template"]
        return str(template["metadata"]["labels"]["modelservice.dev/revision"])

    before = annotation(make_modelservice())
    assert annotation(make_modelservice().with_spec(replicas=3)) == before
    assert annotation(make_modelservice().with_spec(runtime={"engine": {"maxContext": 512}})) != before


def test_settings_tell_the_runtime_what_it_was_given() -> None:
    profile = make_gpu_profile(simulated=True)
    builder = make_modelservice().with_gpu(2).with_model(servedName="org/chat", task="chat")
    settings = _settings(builder.with_spec(termination={"drainSeconds": 9}), profile)
    assert settings["accelerator"] == {"count": 2, "resource": "nvidia.com/gpu", "simulated": True}
    assert settings["model"]["path"] == "/models/chat"
    assert settings["model"]["name"] == "org/chat"
    assert settings["lifecycle"] == {"drain_seconds": 9}


def test_grace_period_covers_the_drain() -> None:
    assert _pod(make_modelservice().with_spec(termination={"drainSeconds": 100}))["terminationGracePeriodSeconds"] > 100


def test_startup_budget_is_the_users_when_it_is_given() -> None:
    server = _pod(make_modelservice().with_spec(loader={"startupBudgetSeconds": 90}))["containers"][0]
    probe = server["startupProbe"]
    assert probe["failureThreshold"] * probe["periodSeconds"] == 90


@pytest.mark.parametrize(
    ("blocks", "replicas"),
    [
        ({}, 1),
        ({"replicas": 0}, 0),
        ({"autoscaling": {"maxReplicas": 3}}, None),
        ({"autoscaling": {"backend": "KEDA", "maxReplicas": 3}}, None),
        ({"autoscaling": {"backend": "External"}}, None),
        ({"autoscaling": {"backend": "External"}, "replicas": 4}, 4),
    ],
)
def test_replicas_are_left_out_when_an_autoscaler_owns_them(blocks: dict[str, Any], replicas: int | None) -> None:
    assert _child("Deployment", make_modelservice().with_spec(**blocks))["spec"].get("replicas") == replicas


@pytest.mark.parametrize(
    ("rollout", "gpu", "surge", "unavailable"),
    [
        ({}, False, 1, 0),
        ({}, True, 1, 0),
        ({"strategy": "RollingUpdate"}, True, 1, 0),
        ({"maxSurge": 2}, True, 2, 0),
        ({"maxSurge": "0%"}, False, "0%", 1),
        ({"maxUnavailable": "50%"}, False, 0, "50%"),
        ({"maxUnavailable": 0}, True, 1, 0),
    ],
)
def test_rollout_adds_a_pod_before_it_takes_one_away_unless_it_is_told_to(
    rollout: dict[str, Any], gpu: bool, surge: Any, unavailable: Any
) -> None:
    builder = make_modelservice().with_spec(rollout=rollout)
    strategy = _child("Deployment", builder.with_gpu() if gpu else builder)["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": surge, "maxUnavailable": unavailable}


def test_service_hides_the_admin_port_when_it_is_reachable_from_outside() -> None:
    def ports(**blocks: Any) -> dict[str, int]:
        service = _child("Service", make_modelservice().with_spec(**blocks))
        return {port["name"]: port["port"] for port in service["spec"]["ports"]}

    assert ports() == {"http": 80, "admin": 8081}
    assert ports(network={"service": {"type": "LoadBalancer"}}) == {"http": 80}
    assert ports(network={"service": {"port": 8081}}) == {"http": 8081, "admin": 9081}


def test_users_labels_cannot_replace_ours() -> None:
    monitor = {"serviceMonitor": {"labels": {"modelservice.dev/name": "other", "release": "prom"}}}
    labels = _child("ServiceMonitor", make_modelservice().with_spec(observability=monitor))["metadata"]["labels"]
    assert labels["modelservice.dev/name"] == "chat"
    assert labels["release"] == "prom"


def test_api_keys_are_mounted_in_the_server_alone_and_told_to_it() -> None:
    builder = make_modelservice().with_spec(security={"apiKeySecretRef": {"name": "chat-keys"}})
    pod = _pod(builder)
    folder = _settings(builder)["security"]["api_key_file"]
    assert {"name": "api-keys", "mountPath": folder, "readOnly": True} in pod["containers"][0]["volumeMounts"]
    assert "api-keys" not in {mount["name"] for mount in pod["initContainers"][0]["volumeMounts"]}
    volume = next(volume for volume in pod["volumes"] if volume["name"] == "api-keys")
    assert volume["secret"]["secretName"] == "chat-keys"


def test_settings_stay_as_they_were_when_no_api_key_is_asked_for() -> None:
    assert "security" not in _settings(make_modelservice())


def _adapted(uri: str, adapter: str, **model: Any) -> dict[str, Any]:
    builder = make_modelservice(uri).with_model(adapters=[{"name": "fin", "uri": adapter}], **model)
    return _pod(builder)["initContainers"][-1]


def test_adapters_are_fetched_one_by_one_and_told_by_their_folders() -> None:
    builder = make_modelservice().with_model(adapters=[{"name": "fin", "uri": "hf://org/fin@v2"}])
    pod = _pod(builder)
    assert [container["name"] for container in pod["initContainers"]] == ["fetch", "fetch-adapter-1"]
    assert pod["initContainers"][1]["args"] == ["fetch", "hf://org/fin", "/adapters/fin", "--revision=v2"]
    assert _settings(builder)["model"]["adapters"] == [{"name": "fin", "path": "/adapters/fin"}]
    mounts = {mount["mountPath"]: mount.get("readOnly") for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts["/adapters/fin"] is True


def test_nothing_is_fetched_when_model_and_adapter_are_mounted() -> None:
    builder = make_modelservice("pvc://weights").with_model(adapters=[{"name": "fin", "uri": "oci://localhost/fin:1"}])
    pod = _pod(builder)
    assert "initContainers" not in pod
    assert {"name": "adapter-1", "image": {"reference": "localhost/fin:1", "pullPolicy": "IfNotPresent"}} in pod[
        "volumes"
    ]


@pytest.mark.parametrize(
    ("uri", "adapter", "shown"),
    [
        ("hf://a/b", "hf://c/d", True),
        ("s3://bucket/model", "s3://bucket/adapter", True),
        ("https://one.example.com/a.tar", "https://one.example.com/b.tar", True),
        ("https://one.example.com/a.tar", "https://two.example.com/b.tar", False),
        ("hf://a/b", "https://one.example.com/b.tar", False),
    ],
)
def test_credentials_are_shown_to_sources_of_the_models_kind_only(uri: str, adapter: str, shown: bool) -> None:
    container = _adapted(uri, adapter, secretRef={"name": "mine"})
    secrets = [variable for variable in container["env"] if "secretKeyRef" in variable.get("valueFrom", {})]
    assert bool(secrets or container.get("envFrom")) is shown


def test_spec_error_names_the_adapter_when_it_has_the_models_name() -> None:
    builder = make_modelservice().with_model(servedName="fin", adapters=[{"name": "fin", "uri": "hf://org/fin"}])
    with pytest.raises(SpecError, match="is the name of the model itself") as caught:
        desired(builder.build(), None, FACTS)
    assert caught.value.field == "spec.model.adapters[0].name"


def test_traces_go_to_the_collector_under_the_services_name() -> None:
    builder = make_modelservice().with_spec(observability={"tracing": {"endpoint": "http://otel:4318"}})
    assert _settings(builder)["observability"] == {"otlp_endpoint": "http://otel:4318"}
    variables = {entry["name"]: entry.get("value") for entry in _pod(builder)["containers"][0]["env"]}
    assert variables["OTEL_SERVICE_NAME"] == "chat"
    assert "observability" not in _settings(make_modelservice())


def test_golden_request_is_told_to_the_runtime_and_has_its_time_in_the_startup_budget() -> None:
    golden = {"path": "/v1/completions", "body": "{}", "expect": "4", "timeoutSeconds": 20}
    builder = make_modelservice().with_spec(rollout={"verification": golden}, loader={"startupBudgetSeconds": 90})
    told = {"path": "/v1/completions", "body": "{}", "expect": "4", "timeout_seconds": 20}
    assert _settings(builder)["verification"] == told
    assert "verification" not in _settings(make_modelservice())
    assert _pod(builder)["containers"][0]["startupProbe"]["failureThreshold"] == 110


def test_no_pod_and_no_autoscaler_is_asked_for_when_a_service_is_suspended() -> None:
    builder = make_modelservice().with_spec(suspend=True, autoscaling={"minReplicas": 2, "maxReplicas": 3})
    assert _child("Deployment", builder)["spec"]["replicas"] == 0
    assert "HorizontalPodAutoscaler" not in {body["kind"] for body in render_all(builder.build())}
