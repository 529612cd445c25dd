"""The optional component that holds requests: absent unless asked for, with few permissions and no way to lose any."""

import pytest

from modelservice_operator.activator.settings import ActivatorSettings
from modelservice_operator.api.activator import FIRST_PORT, PAGES_PORT, PORTS
from modelservice_operator.settings import Settings
from tests.chart.rendering import NAMESPACE, Chart, Object, RefusedError, of_kind, one
from tests.chart.restricted import violations

pytestmark = pytest.mark.timeout(900)  # seconds; the first run may have to build Helm

NAME = "modelservice-activator"
ENABLED = {"activator": {"enabled": True, "holdSeconds": 120, "maxHeld": 7, "retryAfterSeconds": 3, "atOnce": 9}}


@pytest.fixture(scope="module")
def objects(chart: Chart) -> list[Object]:
    return chart.render(ENABLED)


def _environment(deployment: Object) -> dict[str, str]:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each.get("value", "") for each in container["env"]}


def test_nothing_of_it_is_there_unless_asked_for(chart: Chart) -> None:
    rendered = chart.render()
    assert [each for each in rendered if NAME in str(each["metadata"])] == []
    assert "ACTIVATOR" not in str(_environment(one(rendered, "Deployment", "modelservice-operator")))


def test_operator_is_told_of_its_service_by_whose_slices_it_finds_the_pods(objects: list[Object]) -> None:
    told = _environment(one(objects, "Deployment", "modelservice-operator"))
    assert told["MODELSERVICE_OPERATOR_ACTIVATOR_SERVICE"] == NAME
    service = one(objects, "Service", NAME)
    assert [(port["name"], port["targetPort"]) for port in service["spec"]["ports"]] == [(PAGES_PORT, "metrics")]
    labels = one(objects, "Deployment", NAME)["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()


def test_both_processes_agree_on_the_ports() -> None:
    operator, activator = Settings(), ActivatorSettings()
    assert (operator.activator_first_port, operator.activator_ports) == (FIRST_PORT, PORTS)
    assert (activator.first_port, activator.ports) == (FIRST_PORT, PORTS)


def test_values_are_its_settings_and_it_may_end_only_when_all_that_it_holds_had_its_time(objects: list[Object]) -> None:
    deployment = one(objects, "Deployment", NAME)
    told = _environment(deployment)
    known = {f"MODELSERVICE_ACTIVATOR_{name.upper()}" for name in ActivatorSettings.model_fields}
    assert set(told) <= known
    asked = {
        name: told[f"MODELSERVICE_ACTIVATOR_{name}"]
        for name in ("HOLD_SECONDS", "MAX_HELD", "RETRY_AFTER_SECONDS", "AT_ONCE")
    }
    assert asked == {"HOLD_SECONDS": "120", "MAX_HELD": "7", "RETRY_AFTER_SECONDS": "3", "AT_ONCE": "9"}
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 120


def test_defaults_of_the_chart_are_those_of_the_process(chart: Chart) -> None:
    told = _environment(one(chart.render({"activator": {"enabled": True}}), "Deployment", NAME))
    settings = ActivatorSettings()
    for name in ("hold_seconds", "max_held", "max_held_in_all", "retry_after_seconds", "at_once"):
        assert float(told[f"MODELSERVICE_ACTIVATOR_{name.upper()}"]) == getattr(settings, name)


def test_its_pods_satisfy_the_restricted_standard_and_a_drain_leaves_one(objects: list[Object]) -> None:
    deployment = one(objects, "Deployment", NAME)
    assert list(violations(deployment["spec"]["template"]["spec"])) == []
    budget = one(objects, "PodDisruptionBudget", NAME)
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert (deployment["spec"]["replicas"], budget["spec"]["minAvailable"]) == (2, 1)


def test_one_replica_has_no_budget_that_would_block_every_drain(chart: Chart) -> None:
    rendered = chart.render({"activator": {"enabled": True, "replicas": 1}})
    assert of_kind(rendered, "PodDisruptionBudget", NAME) == []


def test_it_may_see_slices_and_scale_deployments_and_nothing_else(chart: Chart, objects: list[Object]) -> None:
    def rules(found: list[Object], account: str) -> set[tuple[str, str, str]]:
        bound = {
            (binding["metadata"].get("namespace", "*"), binding["roleRef"]["name"])
            for kind in ("RoleBinding", "ClusterRoleBinding")
            for binding in of_kind(found, kind)
            if binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}]
        }
        return {
            (role["metadata"].get("namespace", "*"), resource, verb)
            for kind in ("Role", "ClusterRole")
            for role in of_kind(found, kind)
            if (role["metadata"].get("namespace", "*"), role["metadata"]["name"]) in bound
            and role["metadata"]["name"].startswith(NAME)
            for rule in role["rules"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }

    verbs = {("endpointslices", "list"), ("endpointslices", "watch"), ("deployments/scale", "get")}
    verbs |= {("deployments/scale", "patch")}
    assert rules(objects, NAME) == {("*", *each) for each in verbs}
    narrow = chart.render({**ENABLED, "watchNamespaces": ["team-a"]})
    assert rules(narrow, NAME) == {("team-a", *each) for each in verbs}
    own = {(NAMESPACE, "endpointslices", "list"), (NAMESPACE, "endpointslices", "watch")}
    assert rules(narrow, "modelservice-operator") == own


@pytest.mark.parametrize("values", [{"replicas": 0}, {"maxHeld": 0}, {"holdSeconds": -1}, {"hold": 3}])
def test_values_that_make_no_sense_are_refused(chart: Chart, values: dict[str, int]) -> None:
    with pytest.raises(RefusedError, match="activator"):
        chart.render({"activator": {"enabled": True, **values}})
