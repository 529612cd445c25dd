"""What the chart makes of its values: defaults, each toggle, names."""

import textwrap
from typing import Any

import pytest
import yaml

from modelservice_operator.settings import ENV_PREFIX, Settings
from tests.chart.rendering import NAMESPACE, Chart, Object, of_kind, one
from tests.chart.restricted import violations

pytestmark = pytest.mark.timeout(900)  # seconds; the first run may have to build Helm


@pytest.fixture(scope="module")
def defaults(chart: Chart) -> list[Object]:
    return chart.render()


def pod(objects: list[Object]) -> Object:
    spec: Object = one(objects, "Deployment")["spec"]["template"]["spec"]
    return spec


def container(objects: list[Object]) -> Object:
    only: Object
    (only,) = pod(objects)["containers"]
    return only


def environment(objects: list[Object]) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container(objects)["env"]}


def test_helm_lint_has_no_complaint(chart: Chart) -> None:
    assert "0 chart(s) failed" in chart.run("lint", "--strict", str(chart.folder))


def test_every_object_has_the_labels_that_identify_the_release(defaults: list[Object]) -> None:
    for each in defaults:
        labels = each["metadata"].get("labels", {})
        assert labels.get("app.kubernetes.io/instance") == "modelservice", each["metadata"]
        assert labels.get("app.kubernetes.io/managed-by") == "Helm", each["metadata"]


def test_the_operator_has_two_replicas_that_are_replaced_one_after_the_other(defaults: list[Object]) -> None:
    spec = one(defaults, "Deployment")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


def test_the_pod_satisfies_the_restricted_standard(defaults: list[Object]) -> None:
    assert list(violations(pod(defaults))) == []
    assert container(defaults)["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod(defaults)["securityContext"]["runAsUser"] == 65532


def test_tmp_is_the_only_place_to_write(defaults: list[Object]) -> None:
    assert [(m["name"], m["mountPath"]) for m in container(defaults)["volumeMounts"]] == [("tmp", "/tmp")]
    assert [volume for volume in pod(defaults)["volumes"] if "emptyDir" not in volume] == []


def test_probes_ask_the_port_on_which_the_operator_listens(defaults: list[Object]) -> None:
    ports = {port["name"]: port["containerPort"] for port in container(defaults)["ports"]}
    probes = {name: container(defaults)[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    listening = int(environment(defaults)["MODELSERVICE_OPERATOR_LISTEN_PORT"])
    assert {ports[probe["port"]] for probe in probes.values()} == {listening}


def test_resources_are_limited_in_memory_and_not_in_cpu(defaults: list[Object]) -> None:
    assert container(defaults)["resources"] == {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"memory": "512Mi"},
    }


def test_the_environment_is_what_the_operator_reads(chart: Chart) -> None:
    values = environment(chart.render({"watchNamespaces": ["team-a", "team-b"]}))
    ours = {
        name.removeprefix(ENV_PREFIX).lower(): value for name, value in values.items() if name.startswith(ENV_PREFIX)
    }
    assert ours.keys() <= Settings.model_fields.keys()
    settings = Settings(**ours)
    assert settings.watch_namespaces == ("team-a", "team-b")
    assert settings.default_runtime_image == "modelservice/modelservice-runtime:0.1.0"
    assert values["POD_NAME"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert values["POD_NAMESPACE"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}


def test_replicas_are_spread_but_never_for_the_price_of_not_running(defaults: list[Object]) -> None:
    spread = {each["topologyKey"]: each["whenUnsatisfiable"] for each in pod(defaults)["topologySpreadConstraints"]}
    assert spread == {"topology.kubernetes.io/zone": "ScheduleAnyway", "kubernetes.io/hostname": "ScheduleAnyway"}


def test_the_disruption_budget_keeps_one_replica(defaults: list[Object]) -> None:
    spec = one(defaults, "PodDisruptionBudget")["spec"]
    assert (spec["minAvailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    assert spec["selector"] == one(defaults, "Deployment")["spec"]["selector"]


def test_the_service_selects_the_operator(defaults: list[Object]) -> None:
    spec = one(defaults, "Service")["spec"]
    assert spec["selector"] == one(defaults, "Deployment")["spec"]["selector"]["matchLabels"]
    assert [port["targetPort"] for port in spec["ports"]] == ["metrics"]


def test_profiles_are_cpu_by_default_and_nvidia(defaults: list[Object]) -> None:
    profiles = {each["metadata"]["name"]: each["spec"] for each in of_kind(defaults, "RuntimeProfile")}
    assert {name: spec.get("default", False) for name, spec in profiles.items()} == {"cpu": True, "nvidia": False}
    assert not any(spec.get("simulated") for spec in profiles.values())
    assert profiles["nvidia"]["accelerator"]["resource"] == "nvidia.com/gpu"


def test_a_profile_can_be_added_and_another_left_out(chart: Chart) -> None:
    objects = chart.render({"profiles": {"nvidia": None, "simulated": {"simulated": True}}})
    assert {each["metadata"]["name"] for each in of_kind(objects, "RuntimeProfile")} == {"cpu", "simulated"}


def test_profiles_are_made_by_a_hook_only_while_the_cluster_does_not_know_their_kind(chart: Chart) -> None:
    first, later = (of_kind(chart.render(served=served), "RuntimeProfile") for served in (False, True))
    for each in first:
        annotations = each["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "post-install,post-upgrade"
        assert annotations["meta.helm.sh/release-name"] == "modelservice"
        assert annotations["meta.helm.sh/release-namespace"] == NAMESPACE
    assert [each["metadata"].get("annotations") for each in later] == [None, None]
    assert [each["spec"] for each in first] == [each["spec"] for each in later]


def test_definitions_are_installed_and_kept(defaults: list[Object]) -> None:
    definitions = of_kind(defaults, "CustomResourceDefinition")
    assert {each["spec"]["names"]["kind"] for each in definitions} == {"ModelService", "RuntimeProfile"}
    for each in definitions:
        assert each["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_definitions_are_not_kept_or_not_installed_when_the_values_say_so(chart: Chart) -> None:
    unkept = of_kind(chart.render({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert len(unkept) == 2
    assert not any("helm.sh/resource-policy" in (each["metadata"].get("annotations") or {}) for each in unkept)
    assert of_kind(chart.render({"crds": {"install": False}}), "CustomResourceDefinition") == []


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"serviceAccount": {"create": False}}, "ServiceAccount"),
        ({"podDisruptionBudget": {"enabled": False}}, "PodDisruptionBudget"),
        ({"replicas": 1}, "PodDisruptionBudget"),
        ({"metrics": {"service": {"enabled": False}}}, "Service"),
        ({"rbac": {"create": False}}, "ClusterRoleBinding"),
        ({"rbac": {"create": False}}, "RoleBinding"),
        ({"rbac": {"create": False, "aggregate": False}}, "ClusterRole"),
        ({"profiles": {"cpu": None, "nvidia": None}}, "RuntimeProfile"),
    ],
    ids=str,
)
def test_an_object_is_left_out_when_its_toggle_is_off(
    chart: Chart, defaults: list[Object], values: Object, kind: str
) -> None:
    assert of_kind(defaults, kind)
    assert not of_kind(chart.render(values), kind)


def test_the_service_account_can_be_one_that_exists(chart: Chart) -> None:
    objects = chart.render({"serviceAccount": {"create": False, "name": "mine"}})
    subjects = [s for each in objects if each["kind"].endswith("Binding") for s in each["subjects"]]
    assert pod(objects)["serviceAccountName"] == "mine"
    assert {subject["name"] for subject in subjects} == {"mine"}


def test_a_service_monitor_is_made_on_demand_and_needs_the_service(chart: Chart, defaults: list[Object]) -> None:
    assert of_kind(defaults, "ServiceMonitor") == []
    monitor = one(
        chart.render({"metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}}),
        "ServiceMonitor",
    )
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert [each["port"] for each in monitor["spec"]["endpoints"]] == ["metrics"]


@pytest.mark.parametrize(
    ("values", "path", "expected"),
    [
        ({"priorityClassName": "high"}, ("priorityClassName",), "high"),
        ({"imagePullSecrets": [{"name": "registry"}]}, ("imagePullSecrets",), [{"name": "registry"}]),
        ({"nodeSelector": {"disk": "ssd"}}, ("nodeSelector",), {"disk": "ssd"}),
        ({"tolerations": [{"operator": "Exists"}]}, ("tolerations",), [{"operator": "Exists"}]),
        ({"affinity": {"podAntiAffinity": {}}}, ("affinity",), {"podAntiAffinity": {}}),
        ({"terminationGracePeriodSeconds": 60}, ("terminationGracePeriodSeconds",), 60),
        (
            {"topologySpreadConstraints": [{"topologyKey": "rack"}]},
            ("topologySpreadConstraints",),
            [{"topologyKey": "rack"}],
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_value_reaches_the_pod(chart: Chart, values: Object, path: tuple[str, ...], expected: Any) -> None:
    found: Any = pod(chart.render(values))
    for key in path:
        found = found[key]
    assert found == expected


def test_labels_annotations_and_variables_reach_their_objects(chart: Chart) -> None:
    objects = chart.render(
        {
            "commonLabels": {"team": "serving"},
            "podLabels": {"pod": "yes"},
            "podAnnotations": {"note": "1"},
            "deploymentAnnotations": {"owner": "me"},
            "serviceAccount": {"annotations": {"role": "arn"}},
            "operator": {"extraEnv": [{"name": "HTTPS_PROXY", "value": "proxy:3128"}]},
        }
    )
    deployment = one(objects, "Deployment")
    template = deployment["spec"]["template"]["metadata"]
    assert deployment["metadata"]["labels"]["team"] == "serving"
    assert deployment["metadata"]["annotations"]["owner"] == "me"
    assert (template["labels"]["pod"], template["annotations"]["note"]) == ("yes", "1")
    assert one(objects, "ServiceAccount")["metadata"]["annotations"] == {"role": "arn"}
    assert environment(objects)["HTTPS_PROXY"] == "proxy:3128"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({}, "modelservice/modelservice-operator:0.1.0"),
        ({"repository": "mirror/op", "tag": "x"}, "mirror/op:x"),
        ({"tag": "x", "digest": "sha256:" + "a" * 64}, "modelservice/modelservice-operator@sha256:" + "a" * 64),
    ],
    ids=["default", "tag", "digest"],
)
def test_the_image_is_the_version_of_the_chart_unless_named(chart: Chart, image: Object, expected: str) -> None:
    assert container(chart.render({"image": image}))["image"] == expected


def test_extra_objects_are_rendered_as_templates(chart: Chart) -> None:
    extra = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-extra"}}
    assert one(chart.render({"extraObjects": [extra]}), "ConfigMap")["metadata"]["name"] == "modelservice-extra"


def test_names_stay_valid_when_the_release_name_is_as_long_as_helm_allows(chart: Chart) -> None:
    objects = chart.render(release="a" * 53)
    names = [each["metadata"]["name"] for each in objects if "modelservice.dev" not in each["metadata"]["name"]]
    assert max(map(len, names)) <= 63
    assert not any(name.endswith("-") for name in names)


def test_names_carry_the_release_so_that_two_can_live_side_by_side(chart: Chart) -> None:
    assert one(chart.render(release="blue"), "Deployment")["metadata"]["name"] == "blue-modelservice-operator"
    assert one(chart.render({"fullnameOverride": "ms"}), "Deployment")["metadata"]["name"] == "ms-operator"


def notes(chart: Chart, values: Object) -> str:
    command = ("install", "modelservice", str(chart.folder), "--namespace", NAMESPACE, "--dry-run=client")
    return chart.run(*command, values=values).partition("NOTES:")[2]


def test_the_notes_say_how_to_see_that_a_model_is_ready(chart: Chart) -> None:
    text = notes(chart, {})
    assert "kubectl rollout status deployment/modelservice-operator --namespace modelservice-system" in text
    assert "kubectl wait modelservice/chat --namespace default --for condition=Ready" in text
    assert "NOTE:" not in text
    example = text[text.index("apiVersion: modelservice.dev") :].partition("EOF")[0]
    example = textwrap.dedent("     " + example)
    assert yaml.safe_load(example)["kind"] == "ModelService"


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        ({"crds": {"install": False}}, "crds.install is false"),
        ({"replicas": 1}, "one replica"),
        ({"profiles": {"cpu": None}}, "no profile is marked default"),
    ],
    ids=str,
)
def test_the_notes_warn_when_values_have_a_price(chart: Chart, values: Object, warning: str) -> None:
    assert warning in notes(chart, values)
